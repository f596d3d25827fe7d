"""Commands beside the pipeline."""
