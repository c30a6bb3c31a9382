"""What the numbers say, in sentences that are made from them."""

from __future__ import annotations

from collections.abc import Sequence

from quality.remarks import cloth
from quality.statistics import Mean, difference
from quality.summary import Results, Summary, energy, faithful
from quality.tables import ranked
from sightline.attribution.table import METHODS

FEW = 6
"""Photographs below which nothing is said of a method."""
OPTIMISERS = ("i-gos", "igos-plus", "igos-plus-plus")


def findings(every: Results, difficult: Results) -> list[str]:
    """The sentences of the page, one a finding."""
    said = [
        _best(every),
        _best_place(difficult),
        *_optimisers(every),
        _own_protocol(every),
        cloth(every),
        _beyond(every, "centre"),
        _beyond(every, "random"),
        _pointing(every, difficult),
        _namesakes(every),
        _options(every),
        _taken_over(every),
    ]
    return [sentence for sentence in said if sentence]


def limits(every: Results) -> list[str]:
    """What cannot be concluded, made from the widths of the intervals."""
    gains = [gain for one in every.summaries if (gain := _gain(one, every)) and gain.count >= FEW]
    widths = sorted((gain.high - gain.low) / 2 for gain in gains)
    middle = widths[len(widths) // 2] if widths else float("nan")
    few = sorted({one.method for one in every.summaries if 0 < len(one.values(faithful)) < FEW})
    said = [
        f"Half of the intervals of a difference from Grad-CAM are wider than ±{middle:.3f}: methods that lie closer "
        "together than that cannot be told apart here.",
        f"{len(gains)} intervals of 95 % are looked at: about {len(gains) / 20:.0f} of them would leave out the truth "
        "by chance alone.",
        "One network, one data set of photographs of one object, mostly in the middle, one class a photograph: nothing "
        "is said of other networks, of transformers, of several objects.",
        "Deletion and insertion judge by pictures that the network has never seen, and they judge by the same change "
        "(grey, blur) that some methods optimise; a method can be the best by them and still not be the most truthful.",
    ]
    if few:
        said.append(f"On fewer than {FEW} photographs, and so without a place in the sentences above: {_list(few)}.")
    return said


def _gain(one: Summary, among: Results) -> Mean | None:
    return one.against(among.reference, faithful)


def _judged(among: Results) -> list[tuple[Summary, Mean]]:
    """Methods with enough photographs and their differences from Grad-CAM, best first; a map taken over not twice."""
    found = [(one, gain) for one in ranked(among) if (gain := _gain(one, among)) is not None and gain.count >= FEW]
    return [(one, gain) for one, gain in found if not _all_taken_over(one)]


def _all_taken_over(one: Summary) -> bool:
    curves = [row for row in one.rows.values() if row.deletion is not None]
    return bool(curves) and all(row.like for row in curves)


def _best(every: Results) -> str:
    judged = _judged(every)
    if not judged:
        return f"Too little was measured: no method was judged by its curves on {FEW} photographs."
    told = [
        f"{_name(one)} ({gain.value:+.3f}, {gain.low:+.3f} to {gain.high:+.3f}, n {gain.count})"
        for one, gain in judged[:5]
    ]
    clear = [one for one, gain in judged if gain.clear > 0]
    worse = [one for one, gain in judged if gain.clear < 0]
    return (
        f"By insertion − deletion, against Grad-CAM on the same photographs, the best are {_list(told)}. Of "
        f"{len(judged)} different methods judged on {FEW} photographs or more, {len(clear)} lie clearly above Grad-CAM "
        f"(their interval leaves out 0) and {len(worse)} clearly below."
    )


def _best_place(difficult: Results) -> str:
    gains = [(one, one.against(difficult.reference, energy)) for one in difficult.summaries]
    found = sorted(((one, gain) for one, gain in gains if gain and gain.count >= FEW), key=lambda pair: -pair[1].value)
    if not found:
        return ""
    told = [f"{_name(one)} ({gain.value:+.2f}, n {gain.count})" for one, gain in found[:5]]
    return (
        "On the difficult photographs the maps with most of their energy in the box, less Grad-CAM's on the same "
        f"photographs, are {_list(told)}."
    )


def _optimisers(every: Results) -> list[str]:
    """Whether I-GOS, iGOS+ and iGOS++ come first, as their papers say of deletion and insertion."""
    judged = _judged(every)
    said = []
    for name in OPTIMISERS:
        own = every.of("sightline", name)
        place = next((place for place, (one, _) in enumerate(judged, 1) if one is own), None)
        if place is None:
            count = len(own.values(faithful))
            said.append(f"{name} was judged on {count} photographs only: too few to give it a place.")
            continue
        better = [_name(one) for one, _ in judged if one is not own and _beats(one, own)]
        told = f"{_list(better)} clearly above it" if better else "no other clearly above it"
        beaten = sum(_beats(own, one) for one, _ in judged if one is not own)
        said.append(
            f"{name} comes {_ordinal(place)} of {len(judged)}, on the photographs that both have with {told}; it is "
            f"itself clearly above {beaten} of the others."
        )
    return said


def _own_protocol(every: Results) -> str:
    """The optimisers again, judged as their authors judge them."""
    methods = list(dict.fromkeys(method for method, _ in every.under))
    if len(methods) < 2:
        return ""
    values = {
        method: {picture: value for (one, picture), value in every.under.items() if one == method} for method in methods
    }
    told = []
    for method in methods:
        gain = difference(values[method], values["grad-cam"])
        if method != "grad-cam" and gain is not None:
            told.append(f"{method} {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})")
    return (
        "I-GOS and iGOS++ hide by blurring, and their authors judge by blurring, deletion too, where RISE's deletion "
        f"paints grey. Judged so, against Grad-CAM on {len(values['grad-cam'])} photographs: {_list(told)}."
    )


def _beats(one: Summary, other: Summary) -> bool:
    gain = one.against(other, faithful)
    return gain is not None and gain.count >= FEW and gain.clear > 0


def _beyond(every: Results, baseline: str) -> str:
    """Which methods are no better than a map that knows nothing, and how many are clearly better."""
    blind = every.of("baseline", baseline)
    gains = [(one, one.against(blind, faithful)) for one, _ in _judged(every) if one.tool != "baseline"]
    known = [(one, gain) for one, gain in gains if gain is not None and gain.count >= FEW]
    if not known:
        return ""
    what = "a bump in the middle of the picture" if baseline == "centre" else "noise"
    below = [_name(one) for one, gain in known if gain.value <= 0]
    clear = sum(gain.clear > 0 for _, gain in known)
    return (
        f"Against {what} (`{baseline}`) {clear} of {len(known)} methods are clearly better by insertion − deletion; no "
        f"better in the mean: {_list(below)}."
    )


def _pointing(every: Results, difficult: Results) -> str:
    told = []
    for among, where in ((every, "on all photographs"), (difficult, "on the difficult ones")):
        for tool, method in (("baseline", "centre"), ("sightline", "grad-cam")):
            mean = among.of(tool, method).mean(lambda row: row.pointing)
            if mean is not None:
                told.append(f"{method} points right in {mean.value:.0%} {where} (n {mean.count})")
    return f"The pointing game is easy here: {_list(told)}. Only the difficult ones tell methods apart by it."


def _namesakes(every: Results) -> str:
    """Where a package's method of the same name does clearly better or worse than ours."""
    compared, told = 0, []
    for one in every.summaries:
        if one.tool in ("sightline", "baseline") or one.method not in METHODS:
            continue
        own = every.of("sightline", METHODS[one.method].name)
        gain = one.against(own, faithful)
        compared += gain is not None and gain.count >= FEW
        if gain is not None and gain.count >= FEW and gain.clear:
            told.append(f"{_name(one)} {gain.value:+.3f} against {own.method} (n {gain.count})")
    if not told:
        return compared * "No package's method does clearly better or worse than ours of the same name."
    return (
        f"Of the same name and yet clearly apart in insertion − deletion: {_list(told)}. They differ by their defaults "
        "(baseline, sign, what is made absolute), which the pages of the methods name."
    )


def _options(every: Results) -> str:
    """What settings of ours other than the defaults are worth beside the defaults, on the same photographs."""
    told = []
    for one in every.summaries:
        gain = one.against(every.of("sightline", one.plain), faithful) if one.is_variant else None
        if gain is not None and gain.count >= FEW:
            told.append(f"`{one.method}` {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}, n {gain.count})")
    if not told:
        return ""
    return (
        f"Magnitudes instead of signs, the mean colour instead of black, each against the same method at its defaults: "
        f"{_list(told)}. Why the defaults are signed and begin at black all the same: [signs and baselines]"
        "(decisions/0011-signs-and-baselines.md)."
    )


def _taken_over(every: Results) -> str:
    same = sorted({_name(one) for one in every.summaries if _all_taken_over(one)})
    return (
        f"Another method's map, or nearly (nowhere further apart than a thousandth of the largest value), and so with "
        f"its curves: {_list(same)}."
        if same
        else "No two methods gave the same maps."
    )


def _name(one: Summary) -> str:
    return one.method if one.tool == "sightline" else f"{one.tool}'s {one.method}"


def _list(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words) or "none"


def _ordinal(place: int) -> str:
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
