"""The chapters of the leaderboard that tell what training again has shown: ROAR and random labels."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from statistics import fmean
from typing import Any

from sightline.reports.leaderboard_words import listed, markdown

NULLS = ("random-map", "centre-map")
UNMOVED = 0.5
"""Maps whose ranks are correlated by so much or more are called alike."""
_NAMED = 12


def findings_again(again: Mapping[str, Any]) -> list[str]:
    """What training again has shown, from the numbers."""
    return [finding for finding in (_roar_finding(again), _labels_finding(again)) if finding]


def _roar_finding(again: Mapping[str, Any]) -> str:
    """Which methods leave less to learn than a random map does, by more than counting some hundred scenes explains."""
    left = {name: _left(row) for name, row in again["roar"].items() if name != "whole"}
    if not left.keys() > set(NULLS):
        return ""
    chance, methods = left[NULLS[0]], [name for name in left if name not in NULLS]
    pictures = again["settings"]["held_out"] * len(again["settings"]["shares"]) * again["settings"]["seeds"]
    sure = 2 * sqrt(2 * chance * (1 - chance) / pictures)
    lower = sorted((name for name in methods if left[name] < chance - sure), key=lambda name: left[name])
    least = listed(f"`{name}` ({left[name]:.2f})" for name in lower[:_NAMED])
    fewer = f"{len(lower)} of {len(methods)} methods leave less" if lower else "no method leaves less"
    return (
        "**Trained again without what a map put first (ROAR)**, a network is right on "
        f"{chance:.2f} of scenes after a random map, on {left[NULLS[1]]:.2f} after a bump in the middle; "
        f"{fewer} than the random map by more than {sure:.2f} (two standard errors of counting scenes; the chance of "
        "training comes on top)" + (f", least of all {least}." if lower else ".")
    )


def _labels_finding(again: Mapping[str, Any]) -> str:
    """Whose maps stay as they are, whatever was learnt."""
    alike = {name: fmean(row["spearman"]) for name, row in again["random labels"].items() if name not in NULLS}
    unmoved = sorted((name for name in alike if alike[name] >= UNMOVED), key=lambda name: -alike[name])
    if not unmoved:
        return ""
    most = listed(f"`{name}` ({alike[name]:.2f})" for name in unmoved[:_NAMED])
    many = f"{len(unmoved)} of {len(alike)}" + (", most of all " if len(unmoved) > _NAMED else ": ")
    return (
        f"**Alike whatever was learnt** (random labels: Spearman {UNMOVED} or more between the maps of a network that "
        f"learnt the kinds and one that learnt shuffled labels): {many}{most}."
    )


def _left(row: Mapping[str, Any]) -> float:
    return fmean(fmean(values) for values in row.values())


def chapters(again: Mapping[str, Any]) -> list[str]:
    """Headings and paragraphs."""
    return [
        "## Training again without what a map points at (ROAR)",
        _roar_words(again),
        markdown(*_roar_table(again)),
        "## Random labels",
        _labels_words(again),
        markdown(*_labels_table(again)),
    ]


def _roar_words(again: Mapping[str, Any]) -> str:
    given, whole = again["settings"], again["roar"]["whole"]["0.0"]
    return (
        f"Accuracy on {given['held_out']} held-out scenes after training again on {given['scenes']} scenes of "
        f"{given['size']} × {given['size']} pixels for {given['epochs']} rounds, the highest share of each map "
        f"replaced by the mean colour in all of them ({given['seeds']} training a number, seed {given['seed']}). With "
        f"whole pictures: {fmean(whole):.2f}. Counting alone leaves an accuracy a standard error of up to "
        f"{0.5 / sqrt(given['held_out']):.2f}; the chance of training comes on top. The lower, the more of what can be "
        "learnt had been pointed at; to be read beside what a random and a centred map take away. Methods of many "
        "passes are left out."
    )


def _roar_table(again: Mapping[str, Any]) -> tuple[list[list[str]], list[str]]:
    shares = [str(share) for share in again["settings"]["shares"]]
    rows = {name: row for name, row in again["roar"].items() if name != "whole"}
    order = sorted(rows, key=lambda name: fmean(fmean(rows[name][share]) for share in shares))
    body = [[f"`{name}`", *(f"{fmean(rows[name][share]):.2f}" for share in shares)] for name in order]
    return body, ["method", *(f"without {float(share):.0%}" for share in shares)]


def _labels_words(again: Mapping[str, Any]) -> str:
    scored = again["accuracy"]
    return (
        "How alike the maps of a network are to those of one that was trained on shuffled labels, on the same pictures "
        f"(1 is equal, 0 unlike). The one is right on {scored['true']:.0%} of held-out scenes; the other on "
        f"{scored['shuffled']:.0%}, and has learnt {scored['learnt']:.0%} of its shuffled labels by heart. A map that "
        "stays alike tells little of what was learnt."
    )


def _labels_table(again: Mapping[str, Any]) -> tuple[list[list[str]], list[str]]:
    rows = again["random labels"]
    kinds = list(next(iter(rows.values())))
    order = sorted(rows, key=lambda name: fmean(rows[name][kinds[0]]))
    body = [
        [f"`{name}`", *(f"{fmean(rows[name][kind]):.2f} n {len(rows[name][kind])}" for kind in kinds)] for name in order
    ]
    return body, ["method", *kinds]
