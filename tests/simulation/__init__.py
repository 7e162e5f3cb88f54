"""Years of a small city in minutes: the real line, held against the laws at every step."""
