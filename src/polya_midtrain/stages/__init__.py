"""The pipeline's stages, one module each, in the order in which data flows (see dvc.yaml)."""
