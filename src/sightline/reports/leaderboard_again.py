"""The chapters of the leaderboard that tell what training again has shown: ROAR and random labels."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from sightline.reports.leaderboard_words import markdown


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
        f"whole pictures: {fmean(whole):.2f}. The lower, the more of what can be learnt had been pointed at; to be "
        "read beside what a random and a centred map take away. Methods of many passes are left out."
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
