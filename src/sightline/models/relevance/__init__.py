"""Layer-wise relevance propagation: how the relevance of a score is handed back through a network, layer by layer."""
