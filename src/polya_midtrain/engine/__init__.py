"""Generation: one contract, `Engine`, and its implementations."""

from polya_midtrain.engine.contract import Engine, Output, SamplingParams

__all__ = ["Engine", "Output", "SamplingParams"]
