"""Networks of timm, with the preparation of their configuration and the class names of ImageNet heads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from sightline.errors import MissingExtraError, ModelError, unknown
from sightline.models.classifier import Classifier
from sightline.models.sources.base import Asked, classifier_from, first_line, import_extra, installed, no_download
from sightline.models.sources.hub import hub, why
from sightline.models.sources.torchvision import import_torchvision
from sightline.models.weights import classes_in, load_into, read_weights


def names() -> list[str]:
    """timm's networks by name, without tags."""
    return _import_timm("timm's networks").list_models()


def load(asked: Asked) -> Classifier:
    """The network of this name, `vit_tiny_patch16_224` or with a tag `resnet50.a1_in1k`.

    Raises:
        MissingExtraError: timm is not installed.
        ModelError: no such network, no classes, weights that do not fit, or weights that cannot be downloaded.
    """
    timm = _import_timm(f"the network {asked.name}")
    _check_name(timm, asked.rest)
    network = _pretrained(timm, asked) if asked.weights is None else _from_file(timm, asked.rest, asked.weights)
    if network.num_classes == 0:
        raise ModelError(f"{asked.name} gives features, no scores of classes: choose a network with a classifier")
    config = timm.data.resolve_model_data_config(network)
    return classifier_from(
        asked,
        network.eval(),
        labels=_labels(network),
        preparation=config,
        head="softmax",
        assumed=None if asked.weights is None else _assumed(asked.rest, network.pretrained_cfg, config),
    )


def _import_timm(purpose: str) -> Any:
    if not installed("timm"):
        raise MissingExtraError("timm", "timm", purpose)
    import_torchvision()  # timm imports it, and needs it in the form that works beside a CPU torch
    return import_extra("timm", "timm", purpose)


def _assumed(name: str, own: dict[str, Any], config: dict[str, Any]) -> str:
    """The note on the preparation of weights that came from a file."""
    full = ".".join(filter(None, (name.partition(".")[0], own.get("tag"))))
    return (
        f"preparation assumed: timm's for {full} (input {config['input_size'][-1]}, crop {config['crop_pct']}), since "
        "a weights file does not say how it was trained; preparation= (--preparation) changes it"
    )


def _check_name(timm: Any, name: str) -> None:
    if not timm.is_model(name):
        raise ModelError(unknown("timm network", name, timm.list_models()))
    architecture, _, tag = name.partition(".")
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and name not in tagged:
        raise ModelError(unknown("timm network", name, tagged or [architecture]))


def _pretrained(timm: Any, asked: Asked) -> Any:
    config = timm.get_pretrained_cfg(asked.rest, allow_unregistered=False)
    if config is None or not config.has_weights:
        raise ModelError(f"timm has no pretrained weights for {asked.rest}: give them with --weights FILE")
    try:
        with hub():
            return timm.create_model(asked.rest, pretrained=True)
    except Exception as error:
        # timm downloads by several libraries, each with its own errors.
        raise no_download(asked.name, why(error)) from error


def _from_file(timm: Any, name: str, file: Path) -> Any:
    state = read_weights(file)
    network = _create(timm, name)
    classes = classes_in(network, state, network.num_classes)
    if classes is not None:
        network = _create(timm, name, num_classes=classes)
    load_into(network, state, str(file), f"timm/{name}")
    return network


def _create(timm: Any, name: str, **options: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on names that were mapped to newer ones
            return timm.create_model(name, pretrained=False, **options)
    except Exception as error:
        # An architecture may need what is not there; its own text says what.
        raise ModelError(f"timm cannot make {name}: {first_line(error)}") from error


def _labels(network: Any) -> list[str] | None:
    """Class names of ImageNet heads (1 000, 11 821, 21 841 … classes); none for another number of classes."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(network)
    if subset is None and network.num_classes != 1000:
        return None
    labels = ImageNetInfo(subset or "imagenet-1k").label_descriptions()
    return labels if len(labels) == network.num_classes else None
