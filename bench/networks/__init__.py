"""Torch networks and the adapters that give them one interface."""
