"""Methods that search for a mask: the part of a picture that takes the class away, or brings it.

`path_descent.py` is the engine of the I-GOS family, `steps.py` how masks move, `operators.py` and `smooth_mask.py`
what keeps them from being noise.
"""
