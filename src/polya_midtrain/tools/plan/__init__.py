"""`polya plan`: what a run would take, before any of it runs. No stage imports this package."""
