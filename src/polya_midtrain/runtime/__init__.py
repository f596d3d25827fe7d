"""How a stage runs: its inputs and scratch folder, workers, progress, tracking, and what a crash leaves."""
