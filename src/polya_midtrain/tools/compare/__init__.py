"""`polya compare`: whether a finished run is of one piece, and whether it says what the committed run of it says."""
