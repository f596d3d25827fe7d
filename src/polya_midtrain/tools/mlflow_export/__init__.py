"""`polya sync`: bring the MLflow store to what the pipeline has made. No stage imports this package.

DVC may restore a stage from its cache without running it, and a store may be lost. So the runs that people compare are
made from the pipeline's outputs alone: dvc.lock, params.yaml, and the small files of results/ and reports/.
"""
