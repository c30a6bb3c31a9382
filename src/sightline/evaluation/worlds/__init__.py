"""The benchmark on the built-in world: its scenes, what is true of each, and what a map of it scores."""
