"""Every layer that a map can be drawn at, as one pass shows it: its grid, what it sees, whether a gradient arrives."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.errors import LayerError
from sightline.models.layers import Layer, candidates
from sightline.models.taps import Event, watch
from sightline.models.targets import Target
from sightline.passes.looking import asked, look, module_of, survey
from sightline.passes.runner import Runner
from sightline.types import Pixels


@dataclass(frozen=True)
class Described:
    """One layer.

    Attributes:
        layer: its name, kind and grid.
        channels: of its output.
        sees: rows and columns of the picture that its middle cell depends on, measured on noise: what lies further out
            had no influence there. None where the layer does not depend on the picture.
        gradient: whether a gradient of the score arrives at its cells.
        default: whether it is chosen where no layer is named.
    """

    layer: Layer
    channels: int
    sees: tuple[int, int] | None
    gradient: bool
    default: bool


def described(runner: Runner, pixels: Pixels) -> list[Described]:
    """The layers that a map can be drawn at, the best first. One picture; costs a backward pass or two a layer.

    Raises:
        LayerError: the classifier has no layers, or none that a map can be drawn at.
        NotSupportedError: it cannot be differentiated.
    """
    network = module_of(runner.network)
    with runner.working():
        given = runner.given(pixels)
        clean = look(runner, given, gradients=False, layers=[None])
        target = Target(clean.scores.argmax(1))
        default = asked(runner, clean, None, target).layer.name
        known = candidates(survey(runner, given), clean.scores.shape[1])
        with torch.enable_grad(), watch(network) as events:
            leaf = given.detach().clone().requires_grad_()
            scores = runner.run(leaf, layout="as given")
        last = {event.name: event for event in events}
        found = [_one(layer, last[layer.name], leaf, target.score(scores).sum(), default) for layer in known]
        runner.counted(backward=2 * len(known))
    if not found:
        raise LayerError("this network has no layer that a map can be drawn at")
    return found


def _one(layer: Layer, event: Event, leaf: torch.Tensor, score: torch.Tensor, default: str) -> Described:
    output = event.output
    arrived = None
    if score.requires_grad and output.requires_grad:
        (arrived,) = torch.autograd.grad(score, output, retain_graph=True, allow_unused=True)
    return Described(
        layer=layer,
        channels=layer.grid(output.detach()).shape[1],
        sees=_sees(layer, output, leaf),
        gradient=arrived is not None and bool(layer.grid(arrived).any()),
        default=layer.name == default,
    )


def _sees(layer: Layer, output: torch.Tensor, leaf: torch.Tensor) -> tuple[int, int] | None:
    """Height and width of what the middle cell's values change with."""
    if not output.requires_grad:
        return None
    with torch.enable_grad():
        cell = layer.grid(output)[0, :, layer.height // 2, layer.width // 2]
        # Weights that differ, so that channels do not cancel.
        weights = torch.linspace(1, 2, len(cell), device=cell.device)
        (slope,) = torch.autograd.grad((cell * weights).sum(), leaf, retain_graph=True, allow_unused=True)
    if slope is None or not bool(slope.any()):
        return None
    touched = slope[0].abs().sum(0) > 0
    rows, columns = touched.any(1).nonzero().flatten(), touched.any(0).nonzero().flatten()
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
