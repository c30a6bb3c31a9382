"""From a file to the pixels that a network takes, and from a map back to the picture.

`load.py` reads any picture into upright RGB or refuses it; `prepare.py` resizes, crops and normalises, and `frame.py`
is the exact way back; `prepare_from.py` takes preparations from other libraries. What hides a part is in `fills.py`,
how a picture is cut in `regions.py` and `segments.py`, what a map shows as boxes and points in `shapes.py` and
`thresholds.py`: methods and metrics share them. To add a fill, a cut or a threshold: a class there, and its place in
the list below it.
"""
