"""What helps to try and to test idsync: a made-up city, and kits for authors of connectors."""
