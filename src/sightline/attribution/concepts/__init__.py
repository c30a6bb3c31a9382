"""Methods that find what a layer tells apart, and say what each such concept is worth to the score.

`learning.py` is their engine; `factors.py` and `not_negative.py` are the arithmetic; `found.py` is what
`sightline.concepts` gives for several pictures.
"""
