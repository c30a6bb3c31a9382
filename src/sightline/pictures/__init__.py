"""From a map to an image: arrays in, arrays out; no torch."""
