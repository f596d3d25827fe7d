"""Commands beside the pipeline: no stage imports this package."""
