"""How maps are judged: metrics, one file each, in families; and how methods are compared by them.

`base.py` is what a metric is, `table.py` the list of all, `evaluate.py` the call. To add one: a file in its family
and its line in `table.py`. From single values to means, intervals and p-values: `aggregate.py` and `differences.py`;
to what a comparison says: `comparison.py` and `comparison_words.py`. How far one map is to be believed: `belief.py`.
Truth for any network: `planted.py`; for the built-in world: `worlds`.
"""
