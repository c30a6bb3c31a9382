"""Asking a classifier over HTTP: the request and its patience, what is said, and the batches."""
