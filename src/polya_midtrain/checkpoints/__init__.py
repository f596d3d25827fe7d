"""Models in folders: where they come from (a package, a folder, the hub), loading and saving, and their shapes."""
