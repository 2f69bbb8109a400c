"""Checks of data, units and model input before anything is computed."""
