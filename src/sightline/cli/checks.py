"""What the commands refuse before anything heavy begins: files that are not there, words that do not fit."""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import MissingExtraError, SpecError, UsageError, unknown

if TYPE_CHECKING:
    from sightline.evaluation.base import Metric
    from sightline.models.classifier import Classifier
    from sightline.runs.pictures import Given


_DRAWN = {
    "occluded": ("occlusion",),
    "zeiler-fergus": ("zeiler-fergus",),
    "concepts": ("deep-feature-factorisation", "craft"),
}
"""Kinds of figures that draw the result of one of these methods."""


def read_labels(file: str | None) -> list[str] | None:
    """The class names of a file, one a line; none for no file."""
    if file is None:
        return None
    try:
        lines = Path(file).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UsageError(f"--labels {file} is empty: one class name a line was expected")
    return [line.strip() for line in lines]


def check_network_files(arguments: argparse.Namespace) -> None:
    """Refuse weights and class names that are not there, before the network is loaded."""
    from sightline.runs.pictures import existing_file

    for word, what in ((arguments.weights, "weights"), (arguments.labels, "labels")):
        if word is not None:
            existing_file(word, what)


def check_files(arguments: argparse.Namespace, pictures: Sequence[Given]) -> None:
    """Refuse, before anything heavy, files that are not there and figures that cannot be drawn."""
    check_network_files(arguments)
    if arguments.figure is None:
        given = [word for word in ("--rows", "--figure-kind") if word in arguments.words]
        if given:
            raise UsageError(f"{given[0]} is for a figure: add --figure FILE")
        return
    check_figure(arguments.figure, pictures, Path(arguments.out))


def check_figure(word: str, pictures: Sequence[Given], made: Path | None = None) -> None:
    """Refuse a figure that cannot be drawn, or would overwrite a picture; `made` is a folder that will be there."""
    from sightline.pictures.figures import FORMATS

    figure = Path(word)
    if figure.suffix.lstrip(".").lower() not in FORMATS:
        raise SpecError(f"--figure {figure.name}: {unknown('format', figure.suffix.lstrip('.') or 'none', FORMATS)}")
    if not figure.parent.is_dir() and (made is None or made.resolve() not in figure.resolve().parents):
        raise UsageError(f"--figure {word}: there is no folder {figure.parent}")
    given = {one.source.resolve() for one in pictures if isinstance(one.source, Path)}
    if figure.resolve() in given:
        raise UsageError(f"--figure {word} would overwrite a picture that is explained: give another name")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "figures", "--figure")


def check_figure_kind(arguments: argparse.Namespace, methods: Sequence[str], pictures: int) -> None:
    """Refuse a figure that draws one result of one method where there will be none or several, before the work."""
    kind, target = arguments.figure_kind, re.fullmatch(r"top[-_ ]?(\d+)", arguments.target.strip().lower())
    if not arguments.figure or kind == "methods":
        return
    drawn = _DRAWN.get(kind, ())
    of_kind = [name for name in methods if name in drawn] if drawn else methods or ["the default"]
    if not of_kind:
        raise UsageError(f"--figure-kind {kind} draws the method {' or '.join(drawn)}: add --method {drawn[0]}")
    results = pictures * len(of_kind) * (int(target.group(1)) if target else 1)
    if results > 1:
        raise UsageError(
            f"--figure-kind {kind} draws one result, and there would be {results}: give one picture, one target and "
            f"one method{' of this kind' if drawn else ''}, or leave --figure-kind out"
        )


def check_masks(metrics: Sequence[Metric], pictures: Sequence[Given], *, given: bool) -> None:
    """Say before the work that a metric lacks its mask, or that a mask would not be used."""
    need = [metric.name for metric in metrics if metric.traits.needs_mask]
    lacking = [picture.path for picture in pictures if picture.mask is None]
    if need and lacking:
        raise UsageError(f"{need[0]} needs to know where the object is in {lacking[0]}: give --mask FILE, white on it")
    if given and not need:
        raise UsageError(
            "--mask is for metrics that need one, and for --boxes, drawn beside it: add --metric pointing-game or "
            "--metric relevance-mass"
        )


def check_target(target: str, classifier: Classifier) -> None:
    """Refuse an unknown class before any picture is read, where the network's classes are known."""
    from sightline.models.targets import check_known

    check_known(target, classifier.labels)
