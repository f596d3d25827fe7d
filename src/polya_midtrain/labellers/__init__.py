"""Judges: which heuristics a chain of thought uses."""
