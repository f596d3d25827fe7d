"""Traces as vectors whose cosine says how alike two traces are: the kernels behind the diversity of a training set."""
