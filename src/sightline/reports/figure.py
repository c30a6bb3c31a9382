"""Figures of results for papers and notebooks: a grid of methods, original–map–overlay, the occluded pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sightline.attribution.base import Method
from sightline.attribution.combined.zeiler_fergus import ZeilerFergus
from sightline.attribution.concepts.found import Concepts
from sightline.attribution.concepts.learning import Learning
from sightline.attribution.perturbation.occlusion import Occlusion
from sightline.attribution.result import Attribution
from sightline.errors import SpecError, UsageError, unknown
from sightline.images.frame import Frame
from sightline.images.values import ValueRange
from sightline.percent import percent
from sightline.pictures import figures
from sightline.pictures.concepts import (
    MOST_EXAMPLES,
    MOST_ROWS,
    Parts,
    Row,
    bank_figure,
    concepts_figure,
    in_words,
    spotlight,
)
from sightline.pictures.marks import UNMARKED, Marks
from sightline.pictures.style import PLAIN, Style
from sightline.pictures.zeiler_fergus import Study, zeiler_fergus_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind: TypeAlias = Literal["methods", "panels", "occluded", "zeiler-fergus", "concepts"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_OWN: tuple[tuple[type[Method], Kind], ...] = ((ZeilerFergus, "zeiler-fergus"), (Learning, "concepts"))
"""Methods that find more than a map, and the kind of figure that shows it all."""


def own_kind(method: Method) -> Kind | None:
    """The kind of figure that is drawn of this method only, if there is one that shows what its map does not."""
    return next((kind for of, kind in _OWN if isinstance(method, of)), None)


def figure(
    attributions: Attribution | Sequence[Attribution] | Concepts,
    *,
    kind: Kind | None = None,
    style: Style = PLAIN,
    rows: int | None = None,
    marks: Sequence[Marks] = (),
) -> Figure:
    """A figure (matplotlib's, which a notebook shows as it is) of what `explain` or `concepts` gave.

    Args:
        attributions: one result or several, or the concepts of a set of pictures.
        kind: `methods`, each picture with its overlays beside it (for several results); `panels`, original, map and
            overlay (for one result, the default there); `occluded`, the picture under every window of an occlusion,
            each with the probability that is left (for one result of `occlusion`); `zeiler-fergus`, what hiding each
            part does to a feature map, the class and the winner (for one result of the method `zeiler-fergus`);
            `concepts`, each with its place, its classes and what it matters (for one result of a method that finds
            them, such as `deep-feature-factorisation`, or for what `concepts` gave, the default there).
        style: colours, sign, outliers, transparency.
        rows: of a grid; for `methods`, rows for each picture; for a set's concepts, how many of them.
        marks: what is outlined on each result, or nothing at all; `methods` and `panels` draw it.

    Raises:
        UsageError: no result, or one that this kind cannot draw.
        MissingExtraError: matplotlib is not installed.
    """
    if isinstance(attributions, Concepts):
        if kind not in (None, "concepts"):
            raise UsageError(f"concepts of a set of pictures are drawn by kind='concepts', and {kind!r} came")
        return bank_figure(_shown(attributions, rows))
    given = [attributions] if isinstance(attributions, Attribution) else list(attributions)
    if not given:
        raise UsageError("there is no result to draw")
    kind = kind or ("panels" if isinstance(attributions, Attribution) else "methods")
    if kind not in KINDS:
        raise SpecError(unknown("kind of figure", str(kind), KINDS))
    if marks and len(marks) != len(given):
        raise UsageError(f"{len(marks)} marks came for {len(given)} results: give one for each, or none")
    if kind == "methods":
        return _methods(given, style, rows, marks or [UNMARKED] * len(given))
    if kind == "occluded":
        return _occluded(_only(given, Occlusion, "the method occlusion"), style, rows)
    if kind == "zeiler-fergus":
        return zeiler_fergus_figure(_study(_only(given, ZeilerFergus, "the method zeiler-fergus")), style=style)
    if kind == "concepts":
        return concepts_figure(_parts(_only(given, Learning, "a method that finds concepts")))
    if len(given) > 1:
        raise UsageError(f"panels show one result, and {len(given)} came: use kind='methods', or give one")
    one, own = given[0], marks[0] if marks else UNMARKED
    return figures.panels(one.picture.rgb, one.picture_map, title=one.title, style=style, seen=_seen(one), marks=own)


def _methods(given: Sequence[Attribution], style: Style, rows: int | None, marks: Sequence[Marks]) -> Figure:
    """Each picture (as given, also twice the same) followed by its maps."""
    pictures, outlined = list[list[Attribution]](), list[list[Marks]]()
    for one, own in zip(given, marks, strict=True):
        if not pictures or pictures[-1][0].picture is not one.picture:
            pictures.append([])
            outlined.append([])
        pictures[-1].append(one)
        outlined[-1].append(own)
    several = any(len({one.target.label for one in group}) > 1 for group in pictures)
    return figures.method_grid(
        [(group[0].picture.rgb, [(_name(one, several), one.picture_map) for one in group]) for group in pictures],
        style=style,
        rows=rows,
        seen=[_seen(group[0]) for group in pictures],
        marks=outlined,
    )


def _name(one: Attribution, several_targets: bool) -> str:
    return f"{one.method}\n{one.target.label}" if several_targets else str(one.method)


def _seen(one: Attribution) -> NDArray[np.bool_] | None:
    return None if one.seen.all() else one.seen


def _only(given: Sequence[Attribution], kind: type[Any], called: str) -> Attribution:
    """The one result of a method."""
    found = [one for one in given if isinstance(one.method, kind)]
    if not found:
        raise UsageError(f"this figure draws a result of {called}, and none of the results is of it")
    if len(found) > 1:
        raise UsageError(f"this figure draws one result of {called}, and {len(found)} came: give one")
    return found[0]


def _study(one: Attribution) -> Study:
    labels = one.arrays["labels"]
    winners = [one.names[int(index)] for index in labels.ravel()]
    return Study(
        picture=as_seen(one.picture.rgb, one.frame),
        activity=one.arrays["activity"],
        clean_activity=float(one.arrays["clean_activity"]),
        projection=one.arrays["projection"].transpose(1, 2, 0),
        probabilities=one.arrays["probabilities"],
        clean_probability=one.target.probability,
        names=np.array(winners).reshape(labels.shape),
        label=one.target.label,
        feature_map=f"feature map {int(one.arrays['feature_map'])} of {one.layer}",
    )


def _parts(one: Attribution) -> Parts:
    return Parts(
        picture=as_seen(one.picture.rgb, one.frame),
        strengths=_enlarged(one.arrays["concepts"], one.frame.input),
        effects=one.arrays["effects"],
        classes=_classes(one.names, one.arrays["classes"], one.arrays["class_probabilities"]),
        effect=f"{cast(Learning, one.method).measure} of “{one.target.label}”",
        title=f"What {one.layer} tells apart ({one.method.name})",
    )


def _shown(found: Concepts, most: int | None) -> list[Row]:
    """One row a concept, those that matter most first."""
    classes = _classes(found.names, found.classes, found.class_probabilities)
    rows = []
    for concept in found.ranked[: figures.checked_rows(most) or MOST_ROWS]:
        pictures = []
        for example in found.examples[concept][:MOST_EXAMPLES]:
            top, left, bottom, right = example.box
            whole = found.shown[example.picture]
            if (bottom - top, right - left) == whole.shape[:2]:  # the concept's place in it; a crop is its own place
                strength = _enlarged(found.strengths[example.picture, concept][None], whole.shape[:2])[0]
                whole = spotlight(whole, strength, float(found.strengths[:, concept].max()))
            pictures.append(whole[top:bottom, left:right])
        rows.append(
            Row(
                place=concept,
                classes=classes[concept],
                effect=float(found.importances[concept]),
                measure=f"{found.method.measure} of “{found.label}”",
                pictures=tuple(pictures),
            )
        )
    return rows


def _enlarged(strengths: NDArray, size: tuple[int, ...]) -> NDArray:
    """Maps `r h w` of a layer's grid in the frame of the network's input, bilinearly."""
    maps = torch.from_numpy(strengths)[None]
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)[0].numpy()


def _classes(names: Mapping[int, str], classes: NDArray, probabilities: NDArray) -> tuple[str, ...]:
    told = zip(classes, probabilities, strict=True)
    return tuple(in_words([names[int(index)] for index in best], likely.tolist()) for best, likely in told)


def as_seen(rgb: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """A picture `H W 3` in the frame of the network's input, uint8 `h w 3`."""
    parts = [frame.from_picture(rgb[..., c].astype(np.float32)) for c in range(3)]
    return np.rint(np.stack(parts, -1).clip(0, 255)).astype(np.uint8)


def _occluded(one: Attribution, style: Style, rows: int | None) -> Figure:
    probabilities = one.arrays["probabilities"]
    pictures = occluded_pictures(one)
    title = f"Probability of “{one.target.label}” with each part hidden ({percent(one.target.probability)} with none)"
    return figures.occluded_grid(
        pictures, probabilities.ravel().tolist(), rows=rows or probabilities.shape[0], style=style, title=title
    )


def occluded_pictures(one: Attribution) -> list[NDArray[np.uint8]]:
    """What the network saw under each window, uint8 `h w 3` in the frame of its input, row by row.

    The fill is drawn on the picture as people see it (RGB 0 to 1), where it has the colour that it has for the network.
    """
    shown = np.stack([one.frame.from_picture(one.picture.rgb[..., c].astype(np.float32) / 255) for c in range(3)], -1)
    pixels = torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1)))[None]
    fill = cast(Occlusion, one.method).fill.make(pixels, ValueRange.unit())[0].permute(1, 2, 0).numpy()
    pictures = []
    for top, left, bottom, right in one.arrays["boxes"]:
        hidden = shown.copy()
        hidden[top:bottom, left:right] = fill[top:bottom, left:right]
        pictures.append(np.rint(hidden.clip(0, 1) * 255).astype(np.uint8))
    return pictures
