"""What every generator shares."""
