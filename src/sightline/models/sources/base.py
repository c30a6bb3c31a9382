"""What every source of networks is asked, and how its answer becomes a classifier."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from sightline.errors import MissingExtraError, ModelError
from sightline.models.classifier import Classifier
from sightline.models.heads import Head, check_head
from sightline.models.weights import sha256_of, sha256_of_file


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user asked for; what is left out is taken from the source.

    Attributes:
        name: the whole name, as the results show it.
        rest: the name without its source, `resnet50` of `torchvision/resnet50`.
        weights: a file to take the weights from instead of the source's own.
        preparation: anything that `sightline.images.prepare_from.as_preparation` takes.
        labels: class names in the order of the scores.
        head: what the scores mean.
        output: which output holds the scores, by name or place, of files with several.
        trust: whether code inside a Keras file may run.
    """

    name: str
    rest: str
    weights: Path | None = None
    preparation: Any = None
    labels: Sequence[str] | None = None
    head: str = "auto"
    output: str | int | None = None
    trust: bool = False


def classifier_from(
    asked: Asked,
    network: nn.Module | Callable[..., Any],
    *,
    labels: Sequence[str] | None = None,
    preparation: Any = None,
    head: Head = "auto",
    assumed: str | None = None,
) -> Classifier:
    """The classifier of a source's network: what the user gave goes before what the source knows.

    Args:
        asked: what the user asked for.
        network: the network, with its weights.
        labels: the source's class names, or none.
        preparation: the source's preparation, or none.
        head: the source's word on what the scores mean.
        assumed: which preparation was assumed where the source cannot know it; told in `Classifier.notes`.

    Raises:
        ModelError: the preparation cannot be taken, or the head is unknown.
    """
    from sightline.images.prepare_from import as_preparation

    module = isinstance(network, nn.Module)
    names = asked.labels if asked.labels is not None else labels
    own_preparation = asked.preparation is None
    return Classifier(
        prepared_by_source=own_preparation and preparation is not None and assumed is None,
        function=network,
        name=asked.name,
        labels=tuple(str(name) for name in names) if names is not None else None,
        preparation=as_preparation(preparation if own_preparation else asked.preparation),
        head=head if asked.head == "auto" else check_head(asked.head),
        gradients=module,
        weights_sha256=weights_hash(asked, network),
        notes=(assumed,) if assumed and own_preparation else (),
    )


def weights_hash(asked: Asked, network: object) -> str | None:
    """The hash of the weights file, else of the network's own numbers; none for a function."""
    if asked.weights is not None:
        return sha256_of_file(asked.weights)
    return sha256_of(network) if isinstance(network, nn.Module) else None


def import_extra(library: str, extra: str, purpose: str) -> ModuleType:
    """An optional library.

    Raises:
        MissingExtraError: it is not installed.
        ModelError: it is installed and cannot be imported.
    """
    if not installed(library):
        raise MissingExtraError(library, extra, purpose)
    try:
        return importlib.import_module(library)
    except Exception as error:
        # A broken installation fails in its own way (ImportError, RuntimeError, OSError); the user has to see which.
        raise ModelError(f"{library} is installed and cannot be imported: {first_line(error)}") from error


def installed(library: str) -> bool:
    """Whether a library can be found, without importing it."""
    try:
        return importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):
        return False


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 200 characters; the error's name where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def no_download(name: str, reason: str) -> ModelError:
    """What to say where a source's own weights cannot be had."""
    return ModelError(
        f"the weights of {name} could not be downloaded ({reason}); "
        "without a network connection, give them with --weights FILE"
    )
