"""Classification networks of torchvision, with the preparation and class names that come with their weights."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from sightline.errors import MissingExtraError, ModelError, unknown
from sightline.models.classifier import Classifier
from sightline.models.sources.base import Asked, classifier_from, first_line, installed, no_download
from sightline.models.weights import State, classes_in, load_into, read_weights, sha256_of_file

CLASSES = 1000
# Definitions of operators have to outlive this call, else torch forgets them.
_KEPT: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """torchvision, also where its compiled operators do not fit the installed torch.

    The wheel on PyPI is built against CUDA; beside a CPU torch its import fails at `torchvision::nms`. Naming the two
    operators (without a body: they are for detection, and say so when called) is enough for networks and transforms.

    Raises:
        MissingExtraError: torchvision is not installed.
        ModelError: it cannot be imported for another reason.
    """
    if not installed("torchvision"):
        raise MissingExtraError("torchvision", "torchvision", "this network")
    try:
        return _import_with_operators()
    except Exception as error:
        # A broken installation fails in its own way; the user has to see which.
        raise ModelError(f"torchvision is installed and cannot be imported: {first_line(error)}") from error


def names() -> list[str]:
    """torchvision's classifiers by name."""
    import_torchvision()
    from torchvision import models

    return models.list_models(module=models)


def load(asked: Asked) -> Classifier:
    """The network of this name with torchvision's own weights, or those of a file.

    Raises:
        MissingExtraError: torchvision is not installed.
        ModelError: no such network, weights that do not fit, or weights that cannot be downloaded.
    """
    known = names()
    if asked.rest not in known:
        raise ModelError(unknown("torchvision network", asked.rest, known))
    from torchvision import models

    entries = models.get_model_weights(asked.rest)
    if asked.weights is None:
        return _pretrained(asked, entries.DEFAULT)
    return _from_file(asked, asked.weights, list(entries))


def _pretrained(asked: Asked, entry: Any) -> Classifier:
    from torchvision import models

    try:
        network = models.get_model(asked.rest, weights=entry)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a hash that differs is a RuntimeError
        raise no_download(asked.name, first_line(error)) from error
    return classifier_from(
        asked, network.eval(), labels=entry.meta["categories"], preparation=entry.transforms(), head="softmax"
    )


def _from_file(asked: Asked, file: Path, entries: list[Any]) -> Classifier:
    """A file is recognised by its hash; else the preparation is that of torchvision's first weights, and is told."""
    state = _modern_names(read_weights(file), asked.rest)
    network = _empty(asked.rest, state, CLASSES)
    classes = classes_in(network, state, CLASSES) or CLASSES
    if classes != CLASSES:
        network = _empty(asked.rest, state, classes)
    load_into(network, state, str(file), asked.name)
    entry, assumed = _entry_of(file, entries)
    labels = entry.meta["categories"] if classes == CLASSES else None
    return classifier_from(
        asked, network.eval(), labels=labels, preparation=entry.transforms(), head="softmax", assumed=assumed
    )


def _empty(name: str, state: State, classes: int) -> nn.Module:
    """The network without weights; with the helper heads of training only where the file has them."""
    from torchvision import models

    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        helpers = any(key.lower().startswith("aux") for key in state)
        options = {"init_weights": False, "aux_logits": helpers}
    return models.get_model(name, weights=None, num_classes=classes, **options)


def _entry_of(file: Path, entries: list[Any]) -> tuple[Any, str | None]:
    """The weights entry that a file is, or the one whose preparation is assumed, with a note."""
    own = sha256_of_file(file)
    for entry in entries:
        published = re.search(r"-([0-9a-f]{8,})\.pth$", entry.url)
        if published and own.startswith(published[1]):
            return entry, None
    entry = next((entry for entry in entries if entry.name == "IMAGENET1K_V1"), entries[0])
    preset = entry.transforms()
    return entry, (
        f"preparation assumed: torchvision's for {type(entry).__name__}.{entry.name} (resize {preset.resize_size[0]}, "
        f"crop {preset.crop_size[0]}), since a weights file does not say how it was trained; "
        "preparation= (--preparation) changes it"
    )


def _modern_names(state: State, name: str) -> State:
    """The published DenseNet files hold `norm.1` where the networks say `norm1`."""
    if not name.startswith("densenet"):
        return state
    return {re.sub(r"\.(norm|relu|conv)\.([12])\.", r".\1\2.", key): tensor for key, tensor in state.items()}


def _import_with_operators() -> ModuleType:
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)
    return importlib.import_module("torchvision")
