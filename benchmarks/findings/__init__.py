"""Findings of the literature about maps and their judges, tried again on a real network and real photographs."""
