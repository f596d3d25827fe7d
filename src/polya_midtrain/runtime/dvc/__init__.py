"""DVC's command line, with a quicker reader and writer of dvc.lock; run by its folder, so that its name stays dvc."""
