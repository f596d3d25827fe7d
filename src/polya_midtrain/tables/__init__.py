"""The tables of the study: a package each, which `registry` lists, and what they share."""
