"""Execution of one configuration, from its words to its records, and the output while it runs."""
