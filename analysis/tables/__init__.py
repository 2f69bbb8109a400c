"""Records to frames."""
