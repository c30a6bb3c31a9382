"""The page of a comparison: who leads and what is noise, value against cost, and the maps behind the numbers.

Like every report it is one file that loads nothing; it runs no script at all.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from sightline.evaluation.base import Metric
from sightline.evaluation.comparison import Comparison
from sightline.evaluation.comparison_words import arrow, mark, mean_rank, passes, seconds, which_way
from sightline.evaluation.result import Judgement
from sightline.evaluation.standing import Standing
from sightline.images.frame import Frame
from sightline.images.shapes import regions
from sightline.images.thresholds import Threshold
from sightline.pictures.overlay import overlay
from sightline.pictures.scale import number
from sightline.pictures.scatter import Point, scatter_svg
from sightline.pictures.sheets import webp
from sightline.pictures.style import Style
from sightline.reports.boxes import outlines
from sightline.reports.compose import readable
from sightline.reports.content import Outline
from sightline.reports.names import shown
from sightline.reports.page import styles, template, webp_address
from sightline.reports.words import words_of

MOST_PICTURES = 12
"""Pictures whose maps the page shows."""
MOST_COLUMNS = 9
"""Rows of the table whose maps stand side by side in the gallery; of more, each picture has a sheet of its own."""
THUMB = 168
"""Pixels of the longer side of a map in the gallery."""
_QUALITY, _MOST_BOXES = 72, 3


@dataclass(frozen=True)
class Thumb:
    """One map over its picture, small, its values in words, and boxes around what it shows."""

    image: str
    values: tuple[tuple[str, str], ...]
    outlines: tuple[Outline, ...] = ()


@dataclass(eq=False)
class Strip:
    """One picture of the gallery: its name, what was explained, the picture, row → map, and the object's outline."""

    name: str
    target: str
    photograph: str
    thumbs: dict[str, Thumb] = field(default_factory=dict)
    truth: str = ""


@dataclass(frozen=True, kw_only=True)
class About:
    """What the page tells of the run."""

    settings: Sequence[tuple[str, str]] = ()
    command: Sequence[str] = ()
    created: str = ""
    notes: Sequence[str] = ()


def small(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture `h w 3` as the gallery shows it."""
    image = Image.fromarray(np.ascontiguousarray(rgb))
    image.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
    return np.asarray(image)


def photograph(rgb: NDArray[np.uint8]) -> str:
    """The small picture as a data address."""
    return webp_address(webp(rgb, _QUALITY))


def thumb(
    rgb: NDArray[np.uint8],
    frame: Frame,
    map: NDArray[np.float32],
    judgements: Sequence[Judgement],
    style: Style,
    *,
    boxes: Threshold | None = None,
) -> Thumb:
    """One map over its small picture.

    Args:
        rgb: what `small` gave.
        frame: of the picture as it was given.
        map: `h w`, in the frame of the network's input.
        judgements: its values.
        style: how maps are drawn.
        boxes: what turns the map into boxes, if they are to be drawn: the strongest few.
    """
    inside = replace(frame, picture=(rgb.shape[0], rgb.shape[1]))
    values, seen = inside.to_picture(map), inside.seen()
    hidden = None if seen.all() else seen
    drawn = overlay(rgb, values, style, style.scale(values, hidden), hidden)
    told = tuple((f"{one.metric.name} {arrow(one.metric)}", number(one.value)) for one in judgements)
    found = () if boxes is None else regions(boxes.mask(values, seen), np.where(seen, values, 0), _MOST_BOXES)
    return Thumb(webp_address(webp(drawn, _QUALITY)), told, outlines(found, inside.picture))


def comparison_html(found: Sequence[Comparison], gallery: Sequence[Strip], about: About) -> str:
    """The page.

    Args:
        found: the comparison, then the same for parts of the pictures, such as the difficult ones.
        gallery: pictures with their maps.
        about: the run.
    """
    whole = found[0]
    order = [row.name for row in whole.order]
    return template("comparison.html").render(
        title=_title(whole),
        model=shown(whole.model),
        words=[shown(sentence) for sentence in whole.words()],
        notes=readable(about.notes),
        tables=[_table(one) for one in found],
        heads=[(metric.name, str(metric), *words_of(metric), which_way(metric)) for metric in whole.judged],
        charts=[_chart(whole, metric) for metric in whole.judged],
        differences=[_differences(whole, metric) for metric in whole.judged] if len(whole.pictures) > 1 else [],
        order=[shown(name) for name in order],
        gallery=[_strip(strip, order) for strip in gallery[:MOST_PICTURES]],
        boxed=any(thumb.outlines for strip in gallery for thumb in strip.thumbs.values()),
        truth=any(strip.truth for strip in gallery),
        sheets=len(order) > MOST_COLUMNS,
        left_out=len(whole.pictures) - min(len(gallery), MOST_PICTURES),
        cautions=[shown(one) for one in whole.cautions],
        refused=[(shown(name), shown(reason)) for name, reason in whole.refused.items()],
        failures=[{key: shown(value) for key, value in one.items()} for one in whole.failures],
        settings=[(name, shown(value)) for name, value in about.settings],
        command=shown(shlex.join(["sightline", *about.command])) if about.command else "",
        created=about.created,
        css=styles("report.css", "comparison.css"),
    )


def _title(found: Comparison) -> str:
    methods = sum(row.kind != "baseline" for row in found.rows)
    pictures = "one picture" if len(found.pictures) == 1 else f"{len(found.pictures)} pictures"
    return f"{methods} {'method' if methods == 1 else 'methods'} on {pictures}"


def _table(found: Comparison) -> dict[str, Any]:
    """One table: rows in order, a cell a metric."""
    rows = [
        {
            "name": shown(row.name),
            "kind": row.kind,
            "cells": [_cell(found, metric, found.standings(metric).get(row.name), row.name) for metric in found.judged],
            "rank": mean_rank(found, row.name),
            "passes": passes(row),
            "seconds": seconds(row),
        }
        for row in found.order
    ]
    heads = [(metric.name, arrow(metric), str(metric)) for metric in found.judged]
    return {
        "only": found.only,
        "pictures": len(found.pictures),
        "heads": heads,
        "rows": rows,
        "words": [shown(one) for one in found.words()],
    }


def _cell(found: Comparison, metric: Metric, one: Standing | None, name: str) -> dict[str, str]:
    if one is None:
        return {"mean": "–", "span": "", "mark": "", "kind": "none"}
    span = one.interval
    ends = "" if span.low is None or span.high is None else f"{span.low:.3g} to {span.high:.3g}"
    short = f" · n {span.n}" if span.n < len(found.pictures) else ""
    signs = mark(found, metric, name)
    kind = "best" if "*" in signs else "near" if "≈" in signs else "plain"
    return {"mean": f"{span.mean:.3g}", "span": ends + short, "mark": signs, "kind": kind}


def _chart(found: Comparison, metric: Metric) -> dict[str, Any]:
    """Value against passes, and the best baseline as a line."""
    standings, chance = found.standings(metric), found.chance(metric)
    points = [
        Point(name, found.row(name).passes, one.interval.mean, one.interval.low, one.interval.high, one.front)
        for name, one in standings.items()
        if found.row(name).kind == "method"
    ]
    level = None if chance is None else (f"{chance} (chance)", standings[chance].interval.mean)
    drawing = scatter_svg(points, chance=level, y_label=metric.name) if points else ""
    return {"title": words_of(metric)[0], "better": which_way(metric), "svg": Markup(drawing)}


def _differences(found: Comparison, metric: Metric) -> dict[str, Any]:
    """Every row against the best method and against the best baseline."""
    rows = []
    for name, one in found.standings(metric).items():
        told = [
            ("", "", "") if apart is None else (apart.interval.words(), _p(apart.p), apart.verdict)
            for apart in (one.to_best, one.to_chance)
        ]
        rows.append((shown(name), *told))
    return {
        "title": words_of(metric)[0],
        "best": shown(found.best(metric) or "–"),
        "chance": shown(found.chance(metric) or "–"),
        "rows": rows,
    }


def _p(p: float | None) -> str:
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.2g}"


def _strip(strip: Strip, order: Sequence[str]) -> Mapping[str, Any]:
    return {
        "name": shown(strip.name),
        "target": shown(strip.target),
        "photograph": strip.photograph,
        "truth": strip.truth,
        "thumbs": [(shown(name), strip.thumbs.get(name)) for name in order],
    }
