"""The one clean pass over a batch of pictures that all methods share."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from sightline.errors import LayerError
from sightline.models.layers import Layer, candidates, layer_of
from sightline.models.survey import Seen, Survey
from sightline.models.taps import Event
from sightline.models.targets import Target
from sightline.passes.known import Known
from sightline.types import ChannelMap, Pixels, Scores

_MOST_NAMED = 3


@dataclass(eq=False, kw_only=True)
class Clean:
    """What one pass over unperturbed pixels gave.

    Attributes:
        pixels: the very tensor that was asked about: how a later question is known to be about the same.
        scores: `b k`, without graph.
        graph: `b k` with the graph, where gradients were wanted.
        leaf: the pixels that the graph begins at, if it does not begin at a layer.
        captured: the outputs of the wanted layers, by name.
        events: all modules' outputs, while the layer still has to be chosen.
        views: what was found at a layer: by the name that was asked for, and by the layer's own.
        at_pixels: gradients at the pixels.
        ran: what ran the pass, in words, where it was not torch.
        numbers: what it computed in (`sightline.passes.numbers`).
    """

    pixels: Pixels
    scores: Scores
    graph: Scores | None = None
    leaf: Pixels | None = None
    captured: dict[str, torch.Tensor] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    views: Known[LayerView] = field(default_factory=Known)
    at_pixels: Known[ChannelMap] = field(default_factory=Known)
    ran: str | None = None
    numbers: tuple[str, ...] = ()

    def gradients(self, target: Target, at: list[torch.Tensor]) -> list[torch.Tensor | None]:
        """∂score/∂tensor for each tensor, from the score back to the tensors and no further; None where none is."""
        if self.graph is None:
            return [None] * len(at)
        with torch.enable_grad():
            total = target.score(self.graph).sum()
        return list(torch.autograd.grad(total, at, retain_graph=True, allow_unused=True))


@dataclass(frozen=True, eq=False)
class LayerView:
    """A layer's activations over the picture's grid, and the gradients of the score there.

    Attributes:
        activations: `b K h w` float32.
        own_gradients: `b K h w` float32, or none where no target was given.
    """

    layer: Layer
    activations: torch.Tensor
    own_gradients: torch.Tensor | None = None

    @property
    def gradients(self) -> torch.Tensor:
        """∂score/∂activations, `b K h w` float32."""
        assert self.own_gradients is not None, "the layer was asked for without a target"
        return self.own_gradients

    def plain(self) -> LayerView:
        """The same without gradients."""
        return LayerView(self.layer, self.activations)

    @classmethod
    def join(cls, views: list[LayerView]) -> LayerView:
        """One view of all pictures from views of some."""
        gradients = [view.gradients for view in views if view.own_gradients is not None]
        activations = torch.cat([view.activations for view in views])
        return cls(views[0].layer, activations, torch.cat(gradients) if gradients else None)


class DeadLayerError(LayerError):
    """Nothing at the layer's cells can influence the score."""


def view_of(clean: Clean, layer: Layer, target: Target | None) -> LayerView:
    """The view of a captured layer.

    Raises:
        DeadLayerError: the layer is not on the way to the score, or its cells cannot influence it.
    """
    tensor = clean.captured[layer.name]
    if target is None:
        return LayerView(layer, layer.grid(tensor.detach()))
    (gradient,) = clean.gradients(target, [tensor])
    if gradient is None:
        raise DeadLayerError(f"layer {layer.name!r} is not on the way from the picture to the score")
    if _blind(layer, gradient):
        raise _blind_error(layer)
    return LayerView(layer, layer.grid(tensor.detach()), layer.grid(gradient))


def choose(clean: Clean, survey: Survey, target: Target | None) -> tuple[Event, LayerView]:
    """The best layer whose cells influence the score, with its view; one backward pass for all candidates.

    Raises:
        LayerError: no layer of this network suits.
    """
    last = {event.name: event for event in clean.events}
    suited = [layer for layer in candidates(survey, clean.scores.shape[1]) if last[layer.name].output.requires_grad]
    if not suited:
        raise LayerError(
            _several_runs(survey)
            or "no layer of this network lies on a grid over the picture, as class activation maps need: "
            "use a gradient method or occlusion"
        )
    if suited[0].layout != "tokens" and target is None:
        event = last[suited[0].name]
        return event, LayerView(suited[0], suited[0].grid(event.output.detach()))
    asked = target if target is not None else Target(clean.scores.argmax(1))
    # A pass back to the first layer is short; only where that layer does not suit, one goes back to all the others.
    # Only a gradient tells whether a transformer's tokens, or a branch at the side, reach the score at a layer.
    first = 1 if suited[0].layout != "tokens" else len(suited)
    for some in (suited[:first], suited[first:]):
        gradients = clean.gradients(asked, [last[layer.name].output for layer in some])
        for layer, gradient in zip(some, gradients, strict=True):
            if gradient is not None and not _blind(layer, gradient):
                event = last[layer.name]
                return event, LayerView(layer, layer.grid(event.output.detach()), layer.grid(gradient))
    shared = [last[seen.name].output for seen in _shared(survey) if last[seen.name].output.requires_grad]
    leads = bool(shared) and any(gradient is not None for gradient in clean.gradients(asked, shared))
    raise LayerError(
        _several_runs(survey)
        if leads
        else "no layer of this network that lies on a grid over the picture influences the score by a gradient: use a "
        "perturbation method such as occlusion"
    )


def _shared(survey: Survey) -> list[Seen]:
    """The modules on a grid of which each run is another place."""
    again = (seen for seen in survey.seen if seen.calls > 1 and not seen.passage)
    return [seen for seen in again if layer_of(seen, survey) is not None]


def _several_runs(survey: Survey) -> str:
    """What to say where layers lie on a grid, but each run of them is another place; nothing where there are none."""
    shared = _shared(survey)
    if not shared:
        return ""
    named = ", ".join(f"{seen.name!r} {seen.calls} times" for seen in shared[: -_MOST_NAMED - 1 : -1])
    return (
        "no one layer that lies on a grid over the picture leads to the score, since those that do run several times "
        f"in one pass ({named}): put a module of its own behind the run that is meant, such as nn.Identity(), and name "
        "it with layer= (--layer), or use a gradient method or occlusion"
    )


def _blind(layer: Layer, gradient: torch.Tensor) -> bool:
    """Whether only a transformer's prefix tokens, and no cell of the grid, influence the score."""
    cells_are_dead = layer.layout == "tokens" and not gradient[:, layer.prefix :].any()
    return cells_are_dead and bool(gradient[:, : layer.prefix].any())


def _blind_error(layer: Layer) -> DeadLayerError:
    return DeadLayerError(
        f"no cell of layer {layer.name!r} can influence the score: its gradient is zero by construction, as after the "
        "last attention of a transformer that reads its class token"
    )
