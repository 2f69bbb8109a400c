"""Weights of any architecture as tokens, and back."""
