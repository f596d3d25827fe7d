"""What a policy is asked: chat turns, the catalogue of heuristics, and whether a prompt fits."""
