"""What every protocol shares: its context and the selection on validation."""
