"""Exact incremental inference for rectangles: only what a window can change is computed."""
