"""Recipes that make entries, one file each, named by ``recipe=``."""
