"""Public question sets in the one schema of `polya_midtrain.records.Question`."""
