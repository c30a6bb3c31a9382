"""The built-in world: drawn scenes whose evidence is known to the pixel, and two networks that were trained on them.

`scenes.py` is what can be asked for, `worlds.py` which scenes there are; `painter.py`, `animals.py`, `things.py` and
`backgrounds.py` draw them. `train.py` makes the networks again, `scoring.py` says what they are worth, `card.py`
writes it down. A change of a drawing changes what the networks see: run `python -m sightline.demo.train --check`
after it.
"""
