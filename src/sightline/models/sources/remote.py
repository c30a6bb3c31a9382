"""Classifiers behind HTTP, by their address alone; `sightline.remote` takes all the rest."""

from __future__ import annotations

from sightline.errors import ModelError
from sightline.models.classifier import Classifier
from sightline.models.remote import remote
from sightline.models.sources.base import Asked


def load(asked: Asked) -> Classifier:
    """The classifier at this address.

    Raises:
        ModelError: an address that cannot be asked, or weights for it.
    """
    if asked.weights is not None:
        raise ModelError(f"{asked.rest:.120} is asked over HTTP and has its own weights: leave --weights out")
    output = None if asked.output is None else str(asked.output)
    return remote(asked.rest, labels=asked.labels, preparation=asked.preparation, head=asked.head, output=output)
