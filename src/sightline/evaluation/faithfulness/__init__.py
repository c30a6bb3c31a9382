"""Metrics that change the picture as the map says, and ask the network what it makes of it.

`scoring.py` is what is followed, `ranking.py` the order of pixels, `region_order.py` that of regions, `subsets.py`
random parts, `shown.py` the picture seen through its map.
"""
