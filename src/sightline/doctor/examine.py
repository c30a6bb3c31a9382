"""The whole examination of one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from sightline.attribution.base import Method
from sightline.doctor.answers import ALIVE, answers, meaning
from sightline.doctor.families import families
from sightline.doctor.findings import Examination, Finding, MethodFinding
from sightline.doctor.learnt import KNOWS, knowledge
from sightline.doctor.network import contract, modes, numbers
from sightline.doctor.preparing import preparation
from sightline.doctor.slopes import gradients
from sightline.doctor.trusting import QUICK, THOROUGH, Effort, trusted
from sightline.errors import NonFiniteError, UsageError
from sightline.models.classifier import Classifier
from sightline.models.intake import Prepared, prepare
from sightline.passes.passes import Passes
from sightline.types import Pixels

MOST_EXPLAINED = 2
"""Pictures on which methods are tried; the network itself is looked at with all of them."""
_HIDES_THE_REST = ("scores", "one finite row a picture", "the same answer twice", ALIVE)
"""Checks of the network without which no method can be judged."""


def examine(
    classifier: Classifier,
    pictures: Sequence[Any],
    methods: Sequence[Method] | None = None,
    see: Callable[[Finding | MethodFinding], object] = lambda _: None,
    *,
    quick: bool = False,
) -> Examination:
    """Look at a network, and at methods on it.

    Args:
        classifier: the network.
        pictures: two or more that it knows; the preparation is judged from four on.
        methods: who is to be trusted or not; by default one of each family that the network can be explained by.
        see: called with every finding.
        quick: ask less of each method: one picture, fewer copies and stages.

    Raises:
        UsageError: fewer than two pictures.
        PictureError: a picture that cannot be read.
    """
    check_many(pictures)
    ready = [prepare(source, place, classifier) for place, source in enumerate(pictures)]
    found: list[Finding] = []
    for finding in _network(classifier, ready):
        found.append(finding)
        see(finding)
    tried: list[MethodFinding] = []
    for one in _methods(classifier, _alike(ready), methods, found, QUICK if quick else THOROUGH):
        tried.append(one)
        see(one)
    return Examination(
        model=classifier.name,
        pictures=tuple(one.picture.name for one in ready),
        findings=tuple(found),
        methods=tuple(tried),
    )


def check_many(pictures: Sequence[Any]) -> None:
    """Refuse too few pictures, which can be done before the network is loaded.

    Raises:
        UsageError: fewer than two.
    """
    if len(pictures) < 2:
        raise UsageError("an examination needs two pictures or more, better ten that the network knows")


def _methods(
    classifier: Classifier,
    pixels: Pixels,
    methods: Sequence[Method] | None,
    found: Sequence[Finding],
    effort: Effort,
) -> Iterator[MethodFinding]:
    """Each method, or of each family the first one that fits; none where the network itself hides the answer."""
    asked = families(pixels) if methods is None else [[method] for method in methods]
    ill = next((one for one in found if one.check in _HIDES_THE_REST and one.verdict == "wrong"), None)
    knows = all(one.verdict == "ok" for one in found if one.check == KNOWS)
    for family in asked:
        if ill is not None or len(pixels) < 2:
            words = "the pictures differ in size" if ill is None else f"the network itself is wrong: {ill.check}"
            yield MethodFinding(method=str(family[0]), trust="not asked", words=words, advice="mend that first")
            continue
        each = (trusted(classifier, pixels[:MOST_EXPLAINED], method, effort, knows=knows) for method in family)
        refused = [one := next(each)]
        while one.trust == "refused" and (other := next(each, None)) is not None:
            refused.append(one := other)
        yield one if one.trust != "refused" else refused[0]


def _alike(ready: Sequence[Prepared]) -> Pixels:
    """The pictures of the first one's size, `b c h w`."""
    return torch.cat([one.pixels for one in ready if one.pixels.shape == ready[0].pixels.shape])


def _network(classifier: Classifier, ready: Sequence[Prepared]) -> Iterator[Finding]:
    yield modes(classifier)
    yield from numbers(classifier)
    with Passes(classifier) as passes:
        pixels = _alike(ready).to(passes.device)
        if len(pixels) < 2:
            words = "the pictures have different sizes for this network, and two of one size are needed"
            yield Finding(check="scores", verdict="not asked", words=words, advice="crop the pictures to one size")
            return
        try:
            passes.scores(pixels)
        except NonFiniteError as error:
            advice = "check the weights and the preparation"
            yield Finding(check="scores", verdict="wrong", words=str(error), advice=advice)
            return
        yield from contract(classifier, pixels)
        yield meaning(passes, pixels)
        alive = answers(passes, pixels)
        yield alive
        if alive.verdict != "wrong":
            yield knowledge(passes, pixels)
        yield preparation(classifier, ready)
        yield from gradients(passes, pixels, alive=alive.verdict != "wrong")
