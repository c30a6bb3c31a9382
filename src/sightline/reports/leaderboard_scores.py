"""The scores of the leaderboard: where they stand in a record, and what is sure of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.evaluation.aggregate import interval

SCORES: Mapping[str, tuple[str, str]] = {
    "completeness": ("honest", "completeness"),
    "correctness": ("honest", "correctness"),
    "contrast": ("honest", "contrast"),
    "rank": ("honest", "rank"),
    "reveals": ("cheat revealed", "all"),
}
"""The columns of the mean: name → where it stands in a row's means."""


def ordered(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The contestants by their mean score, best first; equal ones as they came."""
    return sorted(record["rows"], key=overall, reverse=True)


def overall(row: Mapping[str, Any]) -> float:
    """The mean of the five scores."""
    return sum(float(mean_of(row, *place)["mean"]) for place in SCORES.values()) / len(SCORES)


def mean_of(row: Mapping[str, Any], part: str, score: str) -> Mapping[str, Any]:
    """The mean of one score over its scenes, with its interval."""
    found: Mapping[str, Any] | None = row["means"][part].get(score)
    return found or {"mean": 0.0, "low": None, "high": None, "n": 0}


def above_knowing_nothing(record: Mapping[str, Any], row: Mapping[str, Any], part: str, score: str) -> bool:
    """Whether a method is clearly above every contestant that knows nothing, scene by scene."""
    own = row["values"][part][score]
    nulls = (one["values"][part][score] for one in record["rows"] if one["null"])
    return all(clearly_above(own, null, record["seed"]) for null in nulls)


def clearly_above(values: Sequence[float | None], others: Sequence[float | None], seed: int) -> bool:
    """Whether the mean difference of values of the same scenes lies above 0 with its whole interval."""
    pairs = zip(values, others, strict=True)
    apart = [own - other for own, other in pairs if own is not None and other is not None]
    low = interval(apart, seed=seed).low if apart else None
    return low is not None and low > 0


def clear(row: Mapping[str, Any], part: str, score: str) -> bool:
    """Whether a mean lies above 0 with its whole interval."""
    low = mean_of(row, part, score)["low"]
    return low is not None and low > 0
