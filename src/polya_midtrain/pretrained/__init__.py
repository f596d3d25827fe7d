"""Models that others trained: out of a Python package, from a folder, or from the hub at a pinned revision."""
