"""`make verify`: whether a run's tables are what other runs of the same settings lead one to expect."""
