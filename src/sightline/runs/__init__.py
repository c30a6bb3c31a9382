"""From a call to its results: what `explain`, `compare`, `plan`, `concepts` and the benchmark do.

`explain.py` is the way of one call, `outcome.py` what becomes of what a method found; `run.py` writes a folder. A
comparison goes through `compare.py` and `contest.py`; photographs with truth are found in `truth`.
"""
