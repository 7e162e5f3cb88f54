"""Systems that hold state and speak their real protocol on loopback, with habits to switch."""
