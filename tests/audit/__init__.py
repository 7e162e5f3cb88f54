"""The audit: whole, or it shows where not."""
