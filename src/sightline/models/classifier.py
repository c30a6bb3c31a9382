"""A classifier: a network, and all that is needed to ask it about a picture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

import torch
from torch import nn

from sightline.errors import ModelError
from sightline.images.prepare import Preparation
from sightline.images.values import ValueRange
from sightline.models.from_keras import is_keras_model
from sightline.models.given import name_of, network_given
from sightline.models.heads import Head, check_head
from sightline.models.outputs import scores_of
from sightline.models.questions import Held, Scoring, Way, asked, check_temperature, names_of
from sightline.types import Pixels, Scores


@dataclass(frozen=True, eq=False, kw_only=True)
class Classifier:
    """What is explained.

    Attributes:
        function: from prepared pixels `b c h w` to anything that holds scores `b k`; usually an `nn.Module`.
        name: how the classifier is called in results.
        labels: the class names in the order of the scores, or none.
        preparation: from a picture to pixels, or none: pixels are then RGB from 0 to 1 at the picture's own size.
        prepared_by_source: whether the preparation comes with the network, from who trained it; else it was declared
            by the user, assumed, or is missing, and `sightline explain` looks whether it is probably wrong.
        head: what the scores mean (`sightline.models.heads`).
        gradients: whether the function can be differentiated; a plain callable is forward-only unless declared.
        takes: what the function is given: a torch tensor or a numpy array.
        weights_sha256: hash of the weights, where they came from a file or can be read from the network.
        layer: the layer that suits class activation maps, if its source knows better than the search.
        forward_only: why there are no gradients, in a few words, where its source knows.
    """

    function: Callable[..., Any]
    name: str = "network"
    labels: tuple[str, ...] | None = None
    preparation: Preparation | None = None
    prepared_by_source: bool = False
    head: Head = "auto"
    gradients: bool = False
    takes: Literal["tensor", "array"] = "tensor"
    weights_sha256: str | None = None
    layer: str | None = None
    notes: tuple[str, ...] = field(default=())
    forward_only: str | None = None

    def __post_init__(self) -> None:
        check_head(self.head)

    @property
    def network(self) -> nn.Module | None:
        """The module, if the function is one: only then are there layers to look at."""
        return self.function if isinstance(self.function, nn.Module) else None

    @property
    def values(self) -> ValueRange:
        """What black, white and the mean colour are in the network's units."""
        return self.preparation.values() if self.preparation else ValueRange.unit()

    def raw_scores(self, pixels: Pixels, rows: int | None = None) -> Scores:
        """One plain call of the function: `b c h w` → `b k` float32, as the network gives them; or `rows` of them."""
        given: Any = pixels.detach().cpu().numpy() if self.takes == "array" else pixels
        return scores_of(self.function(given), rows or len(pixels)).to(pixels.device)

    def fitted(self, classes: int) -> Classifier:
        """The classifier with one name a class; a network with one output may name just what it looks for.

        Raises:
            ModelError: as many names were declared as no network with this many scores can have.
        """
        if self.labels is None or len(self.labels) == classes:
            return self
        if len(self.labels) == 1 and classes == 2:
            return replace(self, labels=(f"not {self.labels[0]}", self.labels[0]))
        raise ModelError(f"{self.name} gives {classes} scores, but {len(self.labels)} class names were declared")

    def label(self, index: int) -> str:
        """The name of a class, or `class 7` where the network has no names."""
        return self.labels[index] if self.labels and index < len(self.labels) else f"class {index}"


def wrap(  # noqa: PLR0913 (all but the first are keywords)
    function: nn.Module | Callable[..., Any] | Classifier,
    *,
    labels: Sequence[str] | None = None,
    preparation: Any = None,
    head: str = "auto",
    name: str | None = None,
    gradients: bool | None = None,
    takes: Literal["tensor", "array", "flat c h w", "flat h w c"] = "tensor",
    held: Held = (),
    output: str | int | None = None,
    scores: Scoring | None = None,
    temperature: float = 1.0,
) -> Classifier:
    """A classifier from the user's own network or function.

    Args:
        function: an `nn.Module`, or any callable from pixels `b c h w` to scores `b k` (forward-only: methods that need
            gradients or layers refuse it by name, unless `gradients=True` says that autograd goes through it); also an
            object with `predict_proba`, and a program of `torch.export`.
        labels: class names in the order of the scores.
        preparation: a `Preparation`, torchvision's `weights.transforms()` or a `Compose`, timm's data config, or a
            Hugging Face image processor. Without one, pictures are given as RGB from 0 to 1 at their own size.
            A float tensor or array is always taken as prepared input, as it is.
        head: what the scores mean; told from the network when left at `auto` (`sightline.models.heads`).
        name: how the classifier is called in results; the function's own name by default.
        gradients: whether autograd goes through the function; true for a module.
        takes: `array` for a function that wants a numpy array instead of a tensor; `flat c h w` or `flat h w c` for
            an object with `predict_proba` that was fitted on flat rows of colour pictures.
        held: further inputs of the network, which stay as they are: by name, or by position in a tuple; `...` stands
            where the picture goes, if not first. A tensor of one row is given once for each picture.
        output: which part of what the network returns holds the scores: a key, an attribute or an index.
        scores: a function of what the network returns to scores `b k`, `b`, or a dictionary of names and `b`: a box of
            a detector, a region of a segmentation (`sightline.models.questions.region`), a similarity of embeddings
            (`similarity`). Each score is then by itself (`head="sigmoid"`) unless a head is declared.
        temperature: what the logits are divided by.

    Raises:
        ModelError: the function cannot be called, the preparation cannot be taken, or the head is unknown.
    """
    from sightline.images.prepare_from import as_preparation
    from sightline.models.estimator import is_estimator, wrap_estimator

    way = Way(held=held, output=output, scores=scores, temperature=temperature)
    if isinstance(function, Classifier):
        given = {"labels": labels, "preparation": preparation, "name": name, "gradients": gradients}
        return _with(function, way, {**given, "head": None if head == "auto" else head})
    if is_estimator(function) and not isinstance(function, nn.Module):
        if not way.plain:
            raise ModelError("predict_proba answers about one input: leave out held, output, scores and temperature")
        return wrap_estimator(function, labels=labels, preparation=preparation, head=head, name=name, takes=takes)
    network, told = network_given(function), check_head(head)
    if takes not in ("tensor", "array"):
        raise ModelError(f"takes={takes!r} is for objects with predict_proba: a function takes a tensor or an array")
    check_temperature(temperature, told)
    own_name, notes = name_of(network), tuple[str, ...]()
    if is_keras_model(network):
        from sightline.models.from_keras.network import asked_as

        network, way, of_keras, notes = asked_as(network, way, head)
        told = of_keras if head == "auto" else told
    if scores is not None and told == "auto":
        told = "sigmoid"
    module = isinstance(network, nn.Module)
    if not module and takes == "array" and gradients:
        raise ModelError("a function of numpy arrays has no gradients")
    names = names_of(scores) if labels is None else labels
    return Classifier(
        function=asked(network, way),
        name=name or own_name,
        labels=tuple(str(label) for label in names) if names is not None else None,
        preparation=as_preparation(preparation),
        head=told,
        gradients=module if gradients is None else gradients,
        takes=takes,
        weights_sha256=None,
        notes=(*notes, *_heat(way)),
    )


def _with(classifier: Classifier, way: Way, given: Mapping[str, Any]) -> Classifier:
    """A classifier with what was given in place of what it says, asked this way."""
    from sightline.images.prepare_from import as_preparation

    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "head" in said:
        check_head(said["head"])
    if "labels" in said:
        said["labels"] = tuple(str(label) for label in said["labels"])
    if "preparation" in said:
        said |= {"preparation": as_preparation(said["preparation"]), "prepared_by_source": False}
    if not way.plain:
        check_temperature(way.temperature, said.get("head", classifier.head))
        said |= {"function": asked(classifier.function, way), "notes": (*classifier.notes, *_heat(way))}
        if way.scores is not None:
            said = {"head": "sigmoid", "labels": names_of(way.scores), **said}
    return replace(classifier, **said) if said else classifier


def _heat(way: Way) -> tuple[str, ...]:
    """What is to be told of a temperature."""
    return () if way.temperature == 1 else (f"the logits are divided by a temperature of {way.temperature:g}",)


def device_of(classifier: Classifier) -> torch.device:
    """Where the network's parameters are; the CPU for a function."""
    network = classifier.network
    held = chain(network.parameters(), network.buffers()) if network is not None else iter(())
    return next((tensor.device for tensor in held), torch.device("cpu"))


def dtype_of(classifier: Classifier) -> torch.dtype:
    """The numbers that the network's own weights are, which its pixels have to be; float32 for a function."""
    network = classifier.network
    parameters = network.parameters() if network is not None else iter(())
    return next((one.dtype for one in parameters if one.is_floating_point()), torch.float32)


def on_device(classifier: Classifier, device: torch.device) -> Classifier:
    """The classifier on a device: a copy where it is elsewhere, since the user's network stays where it is."""
    own, network = device_of(classifier), classifier.network
    same = own.type == device.type and device.index in (None, own.index)
    if network is None or same:
        return classifier
    return replace(classifier, function=copy.deepcopy(network).to(device))
