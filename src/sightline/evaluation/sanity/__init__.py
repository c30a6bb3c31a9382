"""Metrics that ask whether a map would be the same for another network or another class."""
