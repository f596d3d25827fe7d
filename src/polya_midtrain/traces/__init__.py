"""What an arm may learn from: adherence to a heuristic, its reward model and pairs, and the choice of traces."""
