"""Findings computed from the tables, one question per file; numbers only, no text."""
