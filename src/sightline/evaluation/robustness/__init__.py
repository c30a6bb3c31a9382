"""Metrics that ask whether a map stays where the picture hardly changes; they explain again (`again.py`)."""
