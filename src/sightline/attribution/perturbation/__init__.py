"""Methods that change parts of a picture and watch the score: no gradient, any classifier.

Those that show and hide regions play a `game.py`; those that draw which ones share `over_regions.py` and stop when
`sampling.py` is sure.
"""
