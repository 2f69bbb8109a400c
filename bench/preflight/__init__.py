"""Checks of data and input before anything is computed."""
