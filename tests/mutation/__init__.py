"""Plants small faults in idsync's heart, one by one, and counts those that the tests find."""
