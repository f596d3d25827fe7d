"""Models that others trained: out of a Python package, or from the hub at a pinned revision."""
