"""The parts of `docs/make.py`: pages made from the code, and the pictures on them."""
