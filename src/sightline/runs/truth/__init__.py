"""Photographs with truth: COCO, Pascal VOC, CSV and masks, one file each, read into the objects of `things.py`."""
