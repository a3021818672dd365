"""The typed things that flow through the lab: records, configs, events, metrics. pydantic only."""
