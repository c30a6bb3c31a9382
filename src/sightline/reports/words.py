"""Words of a page: what methods are called by people, what the page is about, what its colours mean."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from sightline.attribution.result import Attribution
from sightline.errors import plain_word
from sightline.pictures.style import Style
from sightline.reports.layers import AGAINST, FOR, Bar
from sightline.reports.names import shown
from sightline.spec import Named

_SHORT = {"auc": "AUC", "cam": "CAM", "ig": "IG", "iou": "IoU", "lrp": "LRP"}
"""Words of names that are short for something."""
_SPELT = str.maketrans({"+": " plus ", "×": " times "})
_LONGEST = 40


def words_of(value: Named) -> tuple[str, str]:
    """What a method or metric is called by people, and what it shows: its module's heading, its own first line."""
    sentence = (inspect.getdoc(type(value)) or "").split("\n")[0]
    module = inspect.getmodule(type(value))
    heading = ((module.__doc__ or "") if module else "").partition(":")[0].strip()
    return heading if _names(heading, value.name) else _in_words(value.name), sentence


def _names(heading: str, name: str) -> bool:
    """Whether a heading is of this method or metric, and not of several: it begins like the name, or has its words."""
    spelt = heading.translate(_SPELT)
    words = sorted(spelt.casefold().replace("-", " ").split())
    same = plain_word(spelt).startswith(plain_word(name)) or words == sorted(name.split("-"))
    return same and len(heading) < _LONGEST


def _in_words(name: str) -> str:
    words = [_SHORT.get(word, word) for word in name.split("-")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def question_of(maps: Iterable[Attribution]) -> str:
    """What a page of one picture asks: why the network sees what it sees, or what speaks for another answer."""
    asked = {(one.target.index, one.target.against): one for one in maps}
    if len(asked) != 1:
        return "Why does the network see what it sees?"
    (one,) = asked.values()
    target, label = one.target, shown(one.target.label)
    if target.against is None:
        called, sees = f"“{label}”", one.predictions[0].index == target.index
    else:
        first, _, second = label.partition(" vs ")
        called, sees = f"“{first}” rather than “{second}”", target.probability >= 0.5
    return f"Why does the network see {called}?" if sees else f"What speaks for {called}?"


def colour_words(bars: Iterable[Bar], style: Style) -> str:
    """What the colours of all maps of a page mean, in one sentence."""
    ends = {bar.ends for bar in bars if any(bar.ends)}
    both = (AGAINST, FOR) in ends
    if style.colours is not None or (style.sign == "negative" and ends):
        return "What its colours mean stands beneath each map."
    if both and len(ends) > 1:
        return "Red spoke for it, blue against it; on maps from black to yellow, brighter parts mattered more."
    if both:
        return "Red spoke for it, blue against it."
    return "Brighter parts mattered more." if ends else ""
