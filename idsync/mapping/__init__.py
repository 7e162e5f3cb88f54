"""From what the sources say to what each person should hold: pure, no I/O, no clock."""
