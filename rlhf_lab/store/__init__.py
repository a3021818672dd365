"""The project's database: records and runs, through sqlite-utils. One writer at a time."""
