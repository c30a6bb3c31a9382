"""Figures of results for papers and notebooks: a grid of methods, original–map–overlay, the occluded pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.attribution.base import Method
from sightline.attribution.combined.zeiler_fergus import ZeilerFergus
from sightline.attribution.perturbation.occlusion import Occlusion
from sightline.attribution.result import Attribution
from sightline.errors import SpecError, UsageError, unknown
from sightline.images.values import ValueRange
from sightline.pictures import figures
from sightline.pictures.style import PLAIN, Style
from sightline.pictures.zeiler_fergus import Study, zeiler_fergus_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind: TypeAlias = Literal["methods", "panels", "occluded", "zeiler-fergus"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def figure(
    attributions: Attribution | Sequence[Attribution],
    *,
    kind: Kind | None = None,
    style: Style = PLAIN,
    rows: int | None = None,
) -> Figure:
    """A figure (matplotlib's, which a notebook shows as it is) of what `explain` gave.

    Args:
        attributions: one result or several.
        kind: `methods`, each picture with its overlays beside it (for several results); `panels`, original, map and
            overlay (for one result, the default there); `occluded`, the picture under every window of an occlusion,
            each with the probability that is left (for one result of `occlusion`); `zeiler-fergus`, what hiding each
            part does to a feature map, the class and the winner (for one result of the method `zeiler-fergus`).
        style: colours, sign, outliers, transparency.
        rows: of a grid; for `methods`, rows for each picture.

    Raises:
        UsageError: no result, or one that this kind cannot draw.
        MissingExtraError: matplotlib is not installed.
    """
    given = [attributions] if isinstance(attributions, Attribution) else list(attributions)
    if not given:
        raise UsageError("there is no result to draw")
    kind = kind or ("panels" if isinstance(attributions, Attribution) else "methods")
    if kind not in KINDS:
        raise SpecError(unknown("kind of figure", str(kind), KINDS))
    if kind == "methods":
        return _methods(given, style, rows)
    if kind == "occluded":
        return _occluded(_only(given, Occlusion), style, rows)
    if kind == "zeiler-fergus":
        return zeiler_fergus_figure(_study(_only(given, ZeilerFergus)), style=style)
    if len(given) > 1:
        raise UsageError(f"panels show one result, and {len(given)} came: use kind='methods', or give one")
    one = given[0]
    return figures.panels(one.picture.rgb, one.picture_map, title=one.title, style=style, seen=_seen(one))


def _methods(given: Sequence[Attribution], style: Style, rows: int | None) -> Figure:
    """Each picture (as given, also twice the same) followed by its maps."""
    pictures: list[list[Attribution]] = []
    for one in given:
        if not pictures or pictures[-1][0].picture is not one.picture:
            pictures.append([])
        pictures[-1].append(one)
    several = any(len({one.target.label for one in group}) > 1 for group in pictures)
    return figures.method_grid(
        [(group[0].picture.rgb, [(_name(one, several), one.picture_map) for one in group]) for group in pictures],
        style=style,
        rows=rows,
        seen=[_seen(group[0]) for group in pictures],
    )


def _name(one: Attribution, several_targets: bool) -> str:
    return f"{one.method}\n{one.target.label}" if several_targets else str(one.method)


def _seen(one: Attribution) -> NDArray[np.bool_] | None:
    return None if one.seen.all() else one.seen


def _only(given: Sequence[Attribution], kind: type[Method]) -> Attribution:
    """The one result of a method."""
    found = [one for one in given if isinstance(one.method, kind)]
    if not found:
        raise UsageError(f"this figure draws a result of the method {kind.name}, and none of the results is of it")
    if len(found) > 1:
        raise UsageError(f"this figure draws one result of {kind.name}, and {len(found)} came: give one")
    return found[0]


def _study(one: Attribution) -> Study:
    names = {known.index: known.label for known in one.predictions} | {one.target.index: one.target.label}
    labels = one.arrays["labels"]
    winners = [names.get(int(index), f"class {int(index)}") for index in labels.ravel()]
    return Study(
        picture=_as_seen(one),
        activity=one.arrays["activity"],
        clean_activity=float(one.arrays["clean_activity"]),
        projection=one.arrays["projection"].transpose(1, 2, 0),
        probabilities=one.arrays["probabilities"],
        clean_probability=one.target.probability,
        names=np.array(winners).reshape(labels.shape),
        label=one.target.label,
        feature_map=f"feature map {int(one.arrays['feature_map'])} of {one.layer}",
    )


def _as_seen(one: Attribution) -> NDArray[np.uint8]:
    """The picture in the frame of the network's input, uint8 `h w 3`."""
    parts = [one.frame.from_picture(one.picture.rgb[..., c].astype(np.float32)) for c in range(3)]
    return np.rint(np.stack(parts, -1).clip(0, 255)).astype(np.uint8)


def _occluded(one: Attribution, style: Style, rows: int | None) -> Figure:
    probabilities = one.arrays["probabilities"]
    pictures = occluded_pictures(one)
    title = f"Probability of “{one.target.label}” with each part hidden ({one.target.probability:.1%} with none)"
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
