"""Metrics of how much a map shows at all, of the map alone: how simple it is says nothing of whether it is right."""
