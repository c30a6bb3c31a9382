"""Metrics that ask whether a map lies where a person knows the object to be. `places.py` is what they count."""
