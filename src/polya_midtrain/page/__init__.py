"""The page of the study: everything that a run reports, in one file that needs nothing else."""
