"""The claims of the paper as predicates over the tables' CSVs, and what a run says of each."""
