"""What tests build on: small suites, models, records and sessions."""
