"""The line, end to end: read, map, plan, apply. What every command and the schedule run."""
