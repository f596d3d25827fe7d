"""A rehearsal of a profile whose models come from the hub: every stage, on small stand-ins, without the hub."""
