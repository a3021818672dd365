"""Runs as folders and child processes: start, follow, control, record."""
