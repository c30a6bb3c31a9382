"""The network that a command was asked to load."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sightline.cli.checks import read_labels

if TYPE_CHECKING:
    from sightline.models.classifier import Classifier


def classifier_of(arguments: argparse.Namespace) -> Classifier:
    """The classifier that `--model` and the options beside it name.

    Raises:
        ModelError: there is no such network, or what was given does not fit it.
        MissingExtraError: the library of its source is not installed.
    """
    from sightline.models.catalogue import load

    return load(
        arguments.model,
        weights=arguments.weights,
        labels=read_labels(arguments.labels),
        preparation=arguments.preparation,
        trust=arguments.trust,
        head=arguments.head,
        device=arguments.device,
    )
