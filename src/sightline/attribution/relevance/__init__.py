"""Relevance propagation: the score handed back layer by layer. The rules of the layers stand in `models/relevance`."""
