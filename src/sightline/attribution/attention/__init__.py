"""Methods that read a transformer's attention; how it is found in a network is told in `models/attention.py`."""
