"""Methods that read gradients at the pixels.

Wrappers that add noise share `noisy.py`; those that go from a baseline to the picture share `completeness.py`, and
`walks.py` where the way itself can be judged.
"""
