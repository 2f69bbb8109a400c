"""Suites whose data a program makes."""
