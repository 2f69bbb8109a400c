"""What every executor is made of: the noun, the workers of a sweep, and their status files."""
