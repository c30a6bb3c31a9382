"""The whole examination of one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from sightline.attribution.base import Method
from sightline.doctor.findings import Examination, Finding, MethodFinding
from sightline.doctor.network import answers, contract, gradients, modes
from sightline.doctor.preparing import preparation
from sightline.doctor.trusting import trusted
from sightline.errors import NonFiniteError, UsageError
from sightline.models.classifier import Classifier
from sightline.models.intake import Prepared, prepare
from sightline.passes.passes import Passes

MOST_EXPLAINED = 3
"""Pictures on which methods are tried; the network itself is looked at with all of them."""


def examine(
    classifier: Classifier,
    pictures: Sequence[Any],
    methods: Sequence[Method],
    see: Callable[[Finding | MethodFinding], object] = lambda _: None,
) -> Examination:
    """Look at a network, and at methods on it.

    Args:
        classifier: the network.
        pictures: two or more that it knows; the preparation is judged from four on.
        methods: who is to be trusted or not.
        see: called with every finding.

    Raises:
        UsageError: fewer than two pictures.
        PictureError: a picture that cannot be read.
    """
    if len(pictures) < 2:
        raise UsageError("an examination needs two pictures or more, better ten that the network knows")
    ready = [prepare(source, place, classifier) for place, source in enumerate(pictures)]
    found: list[Finding] = []
    for finding in _network(classifier, ready):
        found.append(finding)
        see(finding)
    tried: list[MethodFinding] = []
    for method in methods:
        tried.append(trusted(classifier, pictures[:MOST_EXPLAINED], method))
        see(tried[-1])
    return Examination(
        model=classifier.name,
        pictures=tuple(one.picture.name for one in ready),
        findings=tuple(found),
        methods=tuple(tried),
    )


def _network(classifier: Classifier, ready: Sequence[Prepared]) -> Iterator[Finding]:
    yield modes(classifier)
    size = ready[0].pixels.shape
    with Passes(classifier) as passes:
        alike = [one.pixels for one in ready if one.pixels.shape == size]
        pixels = torch.cat(alike).to(passes.device)
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
        yield answers(passes, pixels)
        yield preparation(passes, pixels)
        yield from gradients(passes, pixels)
