"""The small files that stages leave in results/: each is one class, which writes it and reads it."""
