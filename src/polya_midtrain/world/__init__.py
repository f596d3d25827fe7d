"""The embedded world: small problems on which the whole study fits a laptop's CPU (see docs/world.md)."""
