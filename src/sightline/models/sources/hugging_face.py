"""Image classifiers of the Hugging Face hub, or of a folder in its layout (`config.json`, `model.safetensors`).

Code that comes with a network is never run (`trust_remote_code=False`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightline.errors import MissingExtraError, ModelError
from sightline.models.classifier import Classifier
from sightline.models.heads import Head
from sightline.models.sources.base import Asked, classifier_from, first_line, import_extra, installed
from sightline.models.sources.hub import hub, why
from sightline.models.sources.torchvision import import_torchvision
from sightline.models.weights import few, read_weights

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def load(asked: Asked) -> Classifier:
    """The image classifier of this hub id (`google/vit-base-patch16-224`) or in this folder.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelError: no such folder, nothing that can be downloaded, no image classifier, or weights that do not fit.
    """
    if not installed("transformers"):
        raise MissingExtraError("transformers", "hf", f"the network {asked.name}")
    place = _place(asked.rest)
    if installed("torchvision"):
        import_torchvision()  # transformers imports it where it finds it, and fails if that fails
    transformers = import_extra("transformers", "hf", f"the network {asked.name}")
    with hub(needed=not Path(place).is_dir()), _without_bars(transformers):
        config = _from(transformers.AutoConfig, place)
        network = _network(transformers, place, config, asked.weights)
        processor = _processor(transformers, place) if asked.preparation is None else None
    head: Head = "sigmoid" if config.problem_type == "multi_label_classification" else "auto"
    return classifier_from(asked, network.eval(), labels=_labels(config), preparation=processor, head=head)


def _place(name: str) -> str:
    """A folder's path, or a hub id; what can only be a folder has to be there."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} holds no config.json: a Hugging Face folder has one beside model.safetensors")
        return str(folder)
    if folder.is_file():
        raise ModelError(f"{folder} is a file: hf/ takes a hub id or a folder; weights go with --weights FILE")
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name):
        raise ModelError(f"no folder {folder}, and it is no hub id (OWNER/NAME)")
    return name


def _from(loader: Any, place: str, **options: Any) -> Any:
    """One `from_pretrained` with our errors."""
    try:
        return loader.from_pretrained(place, trust_remote_code=False, **options)
    except Exception as error:
        # The hub, its cache and the files fail in many ways (OSError, ValueError, KeyError, SafetensorError, …).
        if Path(place).is_dir():
            raise ModelError(f"{place} cannot be loaded by transformers: {first_line(error)}") from error
        raise ModelError(
            f"{place} is no folder here and could not be had from the hub ({why(error)}); without a network "
            "connection, give a folder with config.json and model.safetensors"
        ) from error


def _network(transformers: Any, place: str, config: Any, weights: Path | None) -> nn.Module:
    """The image classifier in float32, with its own weights or those of a file; what would be made up is refused."""
    kinds = transformers.AutoModelForImageClassification._model_mapping
    if type(config) not in kinds:
        raise ModelError(f"hf/{place} is no image classifier: transformers knows none for {config.model_type!r}")
    options = {
        "config": config,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # told below, in one line
        "dtype" if _newer(transformers) else "torch_dtype": torch.float32,
    }
    if weights is None:
        network, report = _from(transformers.AutoModelForImageClassification, place, **options)
        _check_whole(report, f"the weights of hf/{place} do not fit {type(network).__name__}")
        return network
    # transformers loads the state itself, since it keeps the names of older versions in its files.
    state = dict(read_weights(weights))
    classifier = kinds[type(config)]
    network, report = (classifier[0] if isinstance(classifier, tuple) else classifier).from_pretrained(
        None, state_dict=state, **options
    )
    _check_whole(report, f"the weights in {weights} do not fit hf/{place}", strict=True)
    return network


def _check_whole(report: dict[str, Any], problem: str, strict: bool = False) -> None:
    """Refuse weights that lack a tensor of the network, for transformers would fill it with random numbers.

    A checkpoint on the hub may hold more than the classifier (a pooler); a file that the user gives may not.
    """
    kinds = {"missing": "missing_keys", "of another shape": "mismatched_keys"} | (
        {"unexpected": "unexpected_keys"} if strict else {}
    )
    found = {word: sorted(_key(key) for key in report.get(entry) or ()) for word, entry in kinds.items()}
    if parts := "; ".join(few(word, names) for word, names in found.items() if names):
        raise ModelError(f"{problem}: {parts}")


def _key(key: Any) -> str:
    """A key of the loading report; with a wrong shape comes (name, came, expected)."""
    if isinstance(key, str):
        return key
    name, came, expected = key
    return f"{name} is {'×'.join(map(str, came))}, expected {'×'.join(map(str, expected))}"


@contextmanager
def _without_bars(transformers: Any) -> Iterator[None]:
    """Inside, transformers draws no bar for reading a file."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _newer(transformers: Any) -> bool:
    """Whether this is transformers 5 or later, which renamed options."""
    return int(transformers.__version__.split(".")[0]) >= 5


def _processor(transformers: Any, place: str) -> Any:
    """The image processor that works on PIL pictures: `backend` since transformers 5, `use_fast` before."""
    if Path(place).is_dir() and not any((Path(place) / name).is_file() for name in _PROCESSORS):
        raise ModelError(
            f"{place} holds no {_PROCESSORS[0]}, which says how pictures are prepared: declare it with preparation= "
            "(--preparation), as in 'squash 224, mean 0.5, std 0.5'"
        )
    option = {"backend": "pil"} if _newer(transformers) else {"use_fast": False}
    return _from(transformers.AutoImageProcessor, place, **option)


def _labels(config: Any) -> list[str] | None:
    """Class names in the order of the scores; `LABEL_0`, which transformers makes up, is no name."""
    names = [str(config.id2label[index]) for index in sorted(config.id2label)]
    return None if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names
