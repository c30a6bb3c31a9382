"""Class activation maps: a layer's activations, weighted.

`weighting.py` is their engine (find the layer, read it, enlarge): a file here is the weighting alone. Those that show
the network masks made of channels share `channel_masks.py`, those of principal components `components.py`, those that
join layers `fusion.py`.
"""
