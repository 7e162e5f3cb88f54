"""The contract kits, proven by planted faults."""
