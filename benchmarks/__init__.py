"""Measurements; each module says how to run it and what it compares."""
