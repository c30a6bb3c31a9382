"""From a map to an image: arrays in, arrays out; no torch.

`scale.py` says which value gets which colour, `colours.py` which colours there are, `overlay.py` lays them over a
picture and `bars.py` says what they mean; `style.py` is all of that as one value. Figures for papers are in
`figures.py`.
"""
