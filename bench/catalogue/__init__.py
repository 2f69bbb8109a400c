"""What there is by name: models, suites, a user's own; weights and downloads."""
