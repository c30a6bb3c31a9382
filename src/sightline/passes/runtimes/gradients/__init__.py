"""Gradients at the pixels by compiled programs: one for the way forward, one for the way back."""
