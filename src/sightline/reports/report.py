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
from typing import Any

from markupsafe import Markup

from sightline.pictures.style import PLAIN, Style
from sightline.reports.compose import common_warnings, readable, run_settings, sheets
from sightline.reports.content import Pictured
from sightline.reports.names import shown
from sightline.reports.page import styles, template, text_of
from sightline.reports.words import colour_words, question_of

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
    script = text_of("report.js")
    shown_pictures = pictures[:MOST_PICTURES]
    drawn = sheets(shown_pictures, style)
    drawings = [one for sheet in drawn for answer in sheet.answers for card in answer.cards for one in card.drawings]
    first = pictures[0].results[0].attribution if pictures else None
    explained = max(len(pictures), int(told.totals.get("pictures", 0)) - len(told.failures))
    return template("report.html").render(
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
        meaning=colour_words([one.bar for one in drawings], style),
        own_first=told.own_scales,
        two_scales=any(one.kind == "own" for one in drawings),
        css=styles("report.css"),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _title(pictures: Sequence[Pictured], explained: int) -> str:
    if not explained:
        return "No picture could be explained"
    if explained != 1:
        return f"What the network looked at in {explained} pictures"
    return question_of(result.attribution for result in pictures[0].results)
