"""The built-in networks: `demo` (honest) and `demo/cheat`."""

from __future__ import annotations

from sightline.errors import ModelError, unknown
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier
from sightline.models.sources.base import Asked, classifier_from
from sightline.models.weights import load_into, read_weights

NAMES = ("honest", "cheat")


def load(asked: Asked) -> Classifier:
    """The built-in network of this name, with its own weights or those of a file.

    Raises:
        ModelError: no such built-in network, or weights that do not fit.
    """
    from sightline.demo import network as demo

    if asked.rest not in NAMES:
        raise ModelError(unknown("network", f"demo/{asked.rest}", ["demo", *(f"demo/{name}" for name in NAMES)]))
    network, labels, mean, std = demo.load(asked.rest)
    if asked.weights is not None:
        load_into(network, read_weights(asked.weights), str(asked.weights), asked.name)
    size = demo.INPUT_SIZE
    preparation = Preparation(resize=size, crop=(size, size), mean=mean, std=std, exif="apply")
    return classifier_from(asked, network, labels=labels, preparation=preparation)
