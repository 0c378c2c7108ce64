"""Videos drawn from a seed: figures that do an action, rooms, darkness."""
