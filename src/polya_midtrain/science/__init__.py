"""The numbers of the study as pure functions: pass@k, bootstrap, comparisons, diversity, modes. No I/O."""
