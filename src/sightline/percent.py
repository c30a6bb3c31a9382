"""A probability as people are told it: the same words in the command, the report, drawings and warnings."""

from __future__ import annotations


def percent(probability: float) -> str:
    """One digit after the point, and never 0% or 100%: in float32 a probability is 1 that is not quite so."""
    if probability >= 0.9995:
        return "over 99.9%"
    return "under 0.1%" if probability < 0.0005 else f"{probability:.1%}"
