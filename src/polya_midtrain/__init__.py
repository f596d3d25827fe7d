"""polya-midtrain: mid-training on self-generated, heuristic-diverse traces, then GRPO, then pass@k.

A reproduction of arXiv 2605.08472.
"""

__version__ = "0.1.0"
