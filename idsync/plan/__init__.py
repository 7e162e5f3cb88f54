"""From what should be and what is to the changes between them: pure, no I/O, no clock."""
