"""A network asked in the user's own way: with further inputs that are held, and scores made of whatever it returns.

held         a network of several inputs: one is the picture, the others stay as they are
output       which part of what it returns holds the scores: a name, an attribute or a place
scores       the user's own function of what it returns: a region of a segmentation, a box of a detector
temperature  what the logits are divided by (calibration)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sightline.errors import ModelError
from sightline.models.heads import Head, gives_probabilities, tell_head
from sightline.types import Pixels

Held: TypeAlias = "Mapping[str, Any] | Sequence[Any]"
Scoring: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Way:
    """How a network is asked.

    Attributes:
        held: further inputs: by name, or by position in a tuple; `...` is the picture's name or place (the first where
            there is none). A tensor with one row is given once for each picture of a batch, all else as it is.
        output: a key, an attribute or an index of what the network returns.
        scores: from that to scores `b`, `b k`, or a dictionary of names and `b`.
        temperature: what the scores are divided by.
    """

    held: Held = ()
    output: str | int | None = None
    scores: Scoring | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ModelError(f"a temperature is above 0, got {self.temperature}")
        if isinstance(self.held, torch.Tensor | np.ndarray) or not isinstance(self.held, Mapping | Sequence):
            raise ModelError("held inputs are a dictionary of names, or a tuple in order, as in held={'age': tensor}")
        values = self.held.values() if isinstance(self.held, Mapping) else self.held
        if sum(one is ... for one in values) > 1:
            raise ModelError("held inputs have one place for the picture (...), got several")

    @property
    def plain(self) -> bool:
        """Whether nothing but the picture is given and the scores are found in the output as ever."""
        return not self.held and self.output is None and self.scores is None and self.temperature == 1

    def ask(self, function: Callable[..., Any], pixels: Any) -> Any:
        """What the network gives, as this way makes scores of it."""
        return self.answer(self._call(function, pixels))

    def answer(self, output: Any) -> Any:
        """Scores, or what holds them.

        Raises:
            ModelError: there is no such output, or the user's function gives no numbers for each picture.
        """
        found = output if self.output is None else _part(output, self.output)
        if self.scores is not None:
            found = _as_columns(self.scores(found))
        if self.temperature == 1:
            return found
        if not isinstance(found, torch.Tensor):
            raise ModelError("a temperature needs scores that are one tensor: say which with output=")
        if _sums_to_one(found):
            raise ModelError(_NO_LOGITS)
        return found / self.temperature

    def _call(self, function: Callable[..., Any], pixels: Any) -> Any:
        if isinstance(self.held, Mapping):
            named = {name: pixels if one is ... else _rows(one, pixels) for name, one in self.held.items()}
            return function(**named) if any(one is ... for one in self.held.values()) else function(pixels, **named)
        places = self.held if any(one is ... for one in self.held) else (..., *self.held)
        return function(*(pixels if one is ... else _rows(one, pixels) for one in places))


class Question(nn.Module):
    """A network with a way to ask it; its modules keep the names that they have in the network itself."""

    def __init__(self, network: nn.Module, way: Way) -> None:
        super().__init__()
        self.training = network.training
        self.network = network
        self.way = way

    def forward(self, pixels: Pixels) -> Any:
        return self.way.ask(self.network, pixels)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        yield prefix, self
        yield from self.network.named_modules(memo, prefix, remove_duplicate)

    def get_submodule(self, target: str) -> nn.Module:
        return self.network.get_submodule(target) if target else self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.load_state_dict(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)


def asked(function: Any, way: Way) -> Any:
    """The network or function, asked this way."""
    if way.plain:
        return function
    if isinstance(function, nn.Module):
        return Question(function, way)

    def ask(pixels: Any) -> Any:
        return way.ask(function, pixels)

    ask.__name__ = getattr(function, "__name__", type(function).__name__)
    return ask


def similarity(references: Mapping[str, Any] | torch.Tensor) -> Scoring:
    """Scores of an embedding: its cosine with each of some references, from −1 to 1.

    Args:
        references: name → embedding `K`, or embeddings `k K`.

    Returns:
        a function for `sightline.wrap(encoder, scores=...)`.
    """
    names = list(references) if isinstance(references, Mapping) else None
    values = list(references.values()) if isinstance(references, Mapping) else references
    rows = [torch.as_tensor(one).detach().float().flatten() for one in values]
    matrix = functional.normalize(torch.stack(rows), dim=1)

    def scores(embeddings: Any) -> Any:
        if not isinstance(embeddings, torch.Tensor) or embeddings.flatten(1).shape[1] != matrix.shape[1]:
            size = tuple(embeddings.shape) if isinstance(embeddings, torch.Tensor) else type(embeddings).__name__
            raise ModelError(f"an embedding has {matrix.shape[1]} numbers, as the references have; got {size}")
        cosines = functional.normalize(embeddings.flatten(1).float(), dim=1) @ matrix.to(embeddings.device).T
        return cosines if names is None else {name: cosines[:, place] for place, name in enumerate(names)}

    return _named(scores, names)


def region(mask: Any, classes: Sequence[str] | None = None) -> Scoring:
    """Scores of a segmentation `b k h w`: for each class the mean over a region.

    Args:
        mask: `h w`, true inside, of any size: it is brought to that of the segmentation by its nearest values.
        classes: the names of the k classes.

    Returns:
        a function for `sightline.wrap(network, scores=...)`.
    """
    inside = torch.as_tensor(np.asarray(mask) if not isinstance(mask, torch.Tensor) else mask).detach().float()
    if inside.ndim != 2 or not bool(inside.any()):
        raise ModelError(f"a region is h w with something inside, got {' × '.join(map(str, inside.shape))}")

    def scores(output: Any) -> Any:
        if not isinstance(output, torch.Tensor) or output.ndim != 4:
            raise ModelError("a segmentation is b k h w: say which output holds it with output=")
        part = functional.interpolate(inside[None, None].to(output.device), output.shape[-2:], mode="nearest-exact") > 0
        if not bool(part.any()):
            raise ModelError("the region is smaller than one cell of the segmentation")
        share = part.float() / part.sum()
        means = (output.float() * share).sum((2, 3))
        return means if classes is None else {name: means[:, place] for place, name in enumerate(classes)}

    return _named(scores, classes)


def names_of(scores: Scoring | None) -> tuple[str, ...] | None:
    """The names that a scoring function of this file gives its scores."""
    return getattr(scores, "names", None)


def _named(scores: Any, names: Sequence[str] | None) -> Scoring:
    if names is not None:
        scores.names = tuple(map(str, names))
    return scores


def _as_columns(found: Any) -> Any:
    if not isinstance(found, Mapping):
        return found
    if not found or not all(isinstance(one, torch.Tensor) and one.ndim == 1 for one in found.values()):
        raise ModelError("named scores are one number a picture each, b")
    return torch.stack([one.float() for one in found.values()], dim=1)


_NO_LOGITS = "a temperature divides logits, and this network gives probabilities: leave it out, or give the logits"


def check_temperature(temperature: float, head: Head) -> None:
    """Refuse a temperature for a network that is known to give probabilities, which it would only make smaller.

    Raises:
        ModelError: it gives them.
    """
    if temperature != 1 and gives_probabilities(head):
        raise ModelError(_NO_LOGITS)


def _sums_to_one(scores: torch.Tensor) -> bool:
    """Whether scores are told to be probabilities, by their numbers or by the operation that made them."""
    raw = scores if scores.ndim == 2 else scores.reshape(len(scores), -1) if scores.ndim else scores.reshape(1, 1)
    if raw.shape[1] == 1 and not raw.requires_grad:
        return False
    return gives_probabilities(tell_head(raw, traced=raw.requires_grad))


def _rows(value: Any, pixels: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == 1 and isinstance(pixels, torch.Tensor):
        return value.to(pixels.device).expand(len(pixels), *value.shape[1:])
    return value.to(pixels.device) if isinstance(value, torch.Tensor) and isinstance(pixels, torch.Tensor) else value


def _part(output: Any, key: str | int) -> Any:
    if isinstance(key, str) and isinstance(output, Mapping) and key in output:
        return output[key]
    if isinstance(key, str) and not isinstance(output, Mapping) and hasattr(output, key):
        return getattr(output, key)
    if isinstance(key, int) and isinstance(output, tuple | list) and -len(output) <= key < len(output):
        return output[key]
    if isinstance(output, Mapping):
        known = ", ".join(map(repr, output))
    elif isinstance(output, tuple | list):
        known = f"0 to {len(output) - 1}"
    else:
        known = ", ".join(repr(name) for name in getattr(output, "__dict__", {}) if not name.startswith("_")) or "none"
    raise ModelError(f"the network has no output {key!r}: it gives a {type(output).__name__} with {known}")
