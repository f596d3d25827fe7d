"""A rehearsal of a profile of real models: every arm and stage, on small stand-ins, without the hub and a GPU."""
