"""The figures of the study, one module each: `draw` makes one from the tables' CSVs or the training curves alone."""
