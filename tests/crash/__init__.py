"""The crash sweep: a run is killed at every step, and the next one ends as if it had not been."""
