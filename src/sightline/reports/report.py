"""The report: one HTML file that opens without a network and loads nothing.

Names of files and classes come from strangers: everything is escaped by Jinja, what cannot be printed is written as an
escape (`names.shown`), and the page's own policy allows no script but the one whose hash it names, and no address but
`data:`.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from sightline.pictures.style import PLAIN, Style
from sightline.reports.compose import common_warnings, readable, run_settings, sheets
from sightline.reports.content import Pictured
from sightline.reports.names import shown

MOST_PICTURES = 60
"""Pictures that one page draws; the manifest has them all."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a report tells about the run besides its pictures; `own_scales`: it opens with each map on its own scale."""

    command: Sequence[str] = ()
    totals: Mapping[str, Any]
    failures: Sequence[Mapping[str, Any]] = ()
    created: str = ""
    own_scales: bool = True


def report_html(pictures: Sequence[Pictured], told: Told, style: Style = PLAIN) -> str:
    """The page.

    Args:
        pictures: pictures with their results, all or the first of a run; 60 at most are drawn.
        told: the run; its totals say how many pictures there were.
        style: colours, sign, outliers and transparency of the maps, and which share a scale.
    """
    script = _text("report.js")
    shown_pictures = pictures[:MOST_PICTURES]
    drawn = sheets(shown_pictures, style)
    drawings = [one for sheet in drawn for answer in sheet.answers for card in answer.cards for one in card.drawings]
    first = pictures[0].results[0].attribution if pictures else None
    explained = max(len(pictures), int(told.totals.get("pictures", 0)) - len(told.failures))
    return _template().render(
        title=_title(pictures, explained),
        network=shown(first.origin.classifier) if first else "",
        sheets=drawn,
        left_out=explained - len(drawn),
        failures=[{key: shown(str(value)) for key, value in failure.items()} for failure in told.failures],
        settings=run_settings(first, told.totals) if first else (),
        command=shown(shlex.join(["sightline", *told.command])) if told.command else "",
        created=told.created,
        alpha=round(style.alpha * 100),
        warnings=readable(common_warnings(shown_pictures)),
        diverging=any("against" in one.bar.ends[0] for one in drawings),
        own_first=told.own_scales,
        two_scales=any(one.kind == "own" for one in drawings),
        css=Markup(_text("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _title(pictures: Sequence[Pictured], explained: int) -> str:
    if explained != 1:
        return f"What the network looked at in {explained} pictures"
    labels = {result.attribution.target.label for result in pictures[0].results}
    if len(labels) == 1:
        return f"Why does the network see “{shown(labels.pop())}”?".replace(" vs ", "” rather than “")
    return "Why does the network see what it sees?"


def _text(name: str) -> str:
    return files("sightline.reports").joinpath(name).read_text("utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text("report.html"))
