"""The service: what runs by itself, and what it says of itself."""
