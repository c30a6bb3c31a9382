"""How a score is explained: methods, one file each, in families; and what a result carries.

`base.py` is what a method is, `table.py` the list of all, `result.py` what `explain` gives. A method asks `Passes`
and never the network. To add one: a file in its family, named as the method, and its line in `table.py`; to change
what every method does (checks, errors, enlarging), `base.py`; what is saved and drawn of a result, `kept.py` and
`result.py`. The families do not know each other: what needs two of them stands in `combined`, or holds another method
as a field.
"""
