"""From results to what stands in a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from sightline.attribution.result import Attribution
from sightline.errors import MissingExtraError
from sightline.evaluation.belief import Belief
from sightline.evaluation.result import Judgement
from sightline.percent import percent
from sightline.pictures.curves import curve_svg
from sightline.pictures.outlines import path
from sightline.pictures.scale import Scale, number
from sightline.pictures.style import Style
from sightline.reports import layers
from sightline.reports.content import Answer, Card, Chart, Drawing, OwnFigure, Pictured, Result, Row, Sheet, Trust
from sightline.reports.figure import Kind, figure, own_kind
from sightline.reports.names import shown
from sightline.reports.words import words_of

SAME_SCALE = 0.9
"""A map that reaches this part of the shared scale need not be drawn on its own too."""
FAINT = 0.3


def sheets(pictures: Sequence[Pictured], style: Style) -> list[Sheet]:
    """Every picture of a report; maps share their scale as `style.share` says."""
    scales, told = _scales(pictures, style), set(common_warnings(pictures))
    return [_sheet(given, style, scales[place], told) for place, given in enumerate(pictures)]


def common_warnings(pictures: Sequence[Pictured]) -> tuple[str, ...]:
    """What is said of every map of these pictures alike, to be told once instead of beside each."""
    maps = [result.attribution for given in pictures for result in given.results]
    return (
        tuple(word for word in maps[0].warnings if all(word in one.warnings for one in maps)) if len(maps) > 1 else ()
    )


def _sheet(given: Pictured, style: Style, scales: Sequence[Scale], told: set[str]) -> Sheet:
    first = given.results[0].attribution
    frame = first.frame
    own = tuple(word for word in common_warnings([given]) if word not in told)
    targets = [result.attribution.target for result in given.results]
    explained = {index for target in targets for index in (target.index, target.against)}
    answers: dict[str, list[tuple[Result, Scale]]] = {}
    for result, scale in zip(given.results, scales, strict=True):
        target = result.attribution.target
        answers.setdefault(f"{target.index} {target.against}", []).append((result, scale))
    (height, width), (rows, columns) = given.size, first.picture.size
    return Sheet(
        name=shown(first.picture.name),
        about=f"{width} × {height} pixels",
        notes=tuple(shown(note) for note in first.picture.notes),
        photograph=layers.photograph(first.picture.rgb),
        hatching=layers.hatching(frame),
        ratio=columns / rows,
        predictions=tuple(
            (shown(one.label), percent(one.probability), one.probability, one.index in explained)
            for one in first.predictions
        ),
        warnings=readable(own),
        answers=tuple(_answer(found, style, told | set(own)) for found in answers.values()),
        truth=path(given.truth),
    )


def _answer(found: Sequence[tuple[Result, Scale]], style: Style, told: set[str]) -> Answer:
    target, first = found[0][0].attribution.target, found[0][0].attribution.predictions[0]
    label = shown(target.label)
    if target.against is None:
        question = f"Why “{label}”?"
        sentence = f"The network gives “{label}” {percent(target.probability)}"
        sentence += "." if first.index == target.index else f"; its first answer is “{shown(first.label)}”."
    else:
        one, _, other = label.partition(" vs ")
        question = f"Why “{one}” rather than “{other}”?"
        sentence = f"Of these two, the network gives “{one}” {percent(target.probability)}."
    cards = tuple(_card(result, scale, style, told) for result, scale in found)
    figures = tuple(
        _own_figure(result.attribution, kind, style)
        for result, _ in found
        if (kind := own_kind(result.attribution.method)) is not None
    )
    return Answer(question, sentence, cards, figures, _charts([result for result, _ in found]))


def _own_figure(attribution: Attribution, kind: Kind, style: Style) -> OwnFigure:
    """The drawing of a method that finds more than a map."""
    title, _ = words_of(attribution.method)
    alt = f"All that {title} found for {shown(attribution.target.label)} on {shown(attribution.picture.name)}"
    try:
        image = layers.drawing(figure(attribution, kind=kind, style=style))
    except MissingExtraError as error:
        return OwnFigure(title, "", alt, readable([str(error)])[0])
    return OwnFigure(title, image, alt, "")


def _card(result: Result, scale: Scale, style: Style, told: set[str]) -> Card:
    attribution, outlines = result.attribution, result.outlines
    title, sentence = words_of(attribution.method)
    passes = attribution.passes
    settings = [("method", str(attribution.method))]
    settings += [("layer", attribution.layer)] if attribution.layer else []
    settings += [("passes", f"{passes.forward} forward, {passes.backward} backward")]
    settings += [("time", f"{attribution.seconds:.2f} s")]
    settings += [("computed in", attribution.origin.numbers)] if attribution.origin.precision != "float32" else []
    settings += [(shown(name).replace("_", " "), number(value)) for name, value in attribution.numbers.items()]
    return Card(
        title=title,
        spec=str(attribution.method),
        sentence=sentence,
        drawings=_drawings(attribution, scale, style),
        warnings=readable(word for word in attribution.warnings if word not in told),
        settings=tuple((name, shown(value)) for name, value in settings),
        alt=f"{title} for {shown(attribution.target.label)} on {shown(attribution.picture.name)}; {scale.words()}",
        grey=style.settled(attribution.map).blend == "grey",
        outlines=outlines,
        trust=None if result.belief is None else trust_of(result.belief),
    )


def trust_of(belief: Belief) -> Trust:
    """How far a map can be believed, as a page shows it."""

    def spread(values: Sequence[float]) -> str:
        return f"{number(float(np.mean(values)))} ± {np.std(values, ddof=1):.2g}"

    rows = tuple(
        (one.judgement.metric.name, number(one.judgement.value), spread(one.moved), spread(one.noise))
        for one in belief.besides
    )
    return Trust(belief.level, belief.title, tuple(map(shown, belief.sentences)), rows)


def _drawings(attribution: Attribution, scale: Scale, style: Style) -> tuple[Drawing, ...]:
    """The map on the scale it shares; and on its own, where that is another one."""
    own = style.scale(attribution.map)
    style = style.settled(attribution.map)

    def drawing(kind: str, scale: Scale, faint: str = "") -> Drawing:
        colours = layers.colours_over(attribution.map, attribution.frame, style, scale)
        return Drawing(kind, colours, layers.bar(scale, style, attribution.units), faint)

    if own.flat or own.reach > SAME_SCALE * scale.reach:
        return (drawing("only", scale),)
    part = own.reach / scale.reach
    faint = f"It is faint here: it reaches {part:.0%} of the scale that all pictures share." if part < FAINT else ""
    return drawing("shared", scale, faint), drawing("own", own)


def _charts(results: Sequence[Result]) -> tuple[Chart, ...]:
    """One chart a metric, with the curve and the value of every method."""
    by_metric: dict[str, list[tuple[str, Judgement]]] = {}
    for result in results:
        for judgement in result.judgements:
            by_metric.setdefault(str(judgement.metric), []).append((str(result.attribution.method), judgement))
    return tuple(_chart(found) for found in by_metric.values())


def _chart(found: Sequence[tuple[str, Judgement]]) -> Chart:
    metric = found[0][1].metric
    title, sentence = words_of(metric)
    curves = [(method, *judgement.curve, judgement.value) for method, judgement in found if judgement.curve is not None]
    # curve_svg escapes every name itself.
    along, upwards = metric.traits.axes
    svg = Markup(curve_svg(curves, x_label=along, y_label=upwards)) if curves else Markup("")
    return Chart(
        title=title,
        spec=str(metric),
        sentence=sentence,
        better=metric.traits.better,
        svg=svg,
        values=tuple((method, number(judgement.value)) for method, judgement in found),
        warnings=readable(word for _, judgement in found for word in judgement.warnings),
    )


def run_settings(attribution: Attribution, totals: Mapping[str, Any]) -> tuple[Row, ...]:
    """What is the same for all results of a run."""
    origin = attribution.origin
    rows = [("network", origin.classifier), ("weights (SHA-256)", origin.weights_sha256 or "not known")]
    preparation = origin.preparation
    rows += [
        ("preparation", ", ".join(f"{key} {value}" for key, value in preparation.items()) if preparation else "none")
    ]
    rows += [("scores", origin.head), ("precision", origin.precision), ("device", origin.device)]
    rows += [("runtime", totals.get("runtime", origin.runtime))]
    passes = totals["passes"]
    rows += [("passes in all", f"{passes['forward']} forward, {passes['backward']} backward")]
    rows += [("time in all", f"{totals['seconds']:.1f} s")]
    rows += [("versions", ", ".join(f"{name} {version}" for name, version in origin.versions.items()))]
    return tuple((name, shown(str(value))) for name, value in rows)


def _scales(pictures: Sequence[Pictured], style: Style) -> list[list[Scale]]:
    """One scale for all maps of a method (of a run with `share="all"`), or each map its own."""
    groups: dict[tuple[object, ...], list[NDArray[np.float32]]] = {}

    def key(place: int, number: int, result: Result) -> tuple[object, ...]:
        return {"map": (place, number), "method": (str(result.attribution.method),), "all": ()}[style.share]

    for place, given in enumerate(pictures):
        for count, result in enumerate(given.results):
            groups.setdefault(key(place, count, result), []).append(result.attribution.map)
    scales = {name: style.shared_scale(maps) for name, maps in groups.items()}
    return [
        [scales[key(place, count, result)] for count, result in enumerate(given.results)]
        for place, given in enumerate(pictures)
    ]


def readable(warnings: Iterable[str]) -> tuple[str, ...]:
    """Warnings as sentences, each once."""
    return tuple(dict.fromkeys(_sentence(shown(warning)) for warning in warnings))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
