"""Public question sets in the one schema of `polya_midtrain.common.records.Question`."""
