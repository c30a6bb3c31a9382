"""Gradients at the outputs of many modules at once, every call of each: for methods that sum over a whole network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from sightline.models.layers import layer_of
from sightline.models.survey import Survey
from sightline.models.taps import capture
from sightline.models.targets import Target
from sightline.passes.gradient_pass import lost
from sightline.passes.looking import module_of, survey
from sightline.passes.relevance import refuse_foreign
from sightline.passes.runner import Runner
from sightline.types import ChannelMap, Pixels


@dataclass(frozen=True, eq=False)
class Inside:
    """The gradients of some pictures' scores, at the pixels and inside the network.

    Attributes:
        pixels: `b c h w`.
        scores: `b`, of the target.
        at_pixels: ∂score/∂pixels, `b c h w` float32.
        gradients: module name → ∂score/∂output of each of its calls that the score depends on.
        survey: how the outputs lie over the picture.
    """

    pixels: Pixels
    scores: torch.Tensor
    at_pixels: ChannelMap
    gradients: Mapping[str, list[torch.Tensor]]
    survey: Survey

    def grid(self, name: str, tensor: torch.Tensor) -> torch.Tensor | None:
        """A tensor like a module's output as `b K h w`, or None where the output is on no grid over the picture."""
        seen = self.survey.find(name)
        layer = None if seen is None else layer_of(seen, self.survey)
        return None if layer is None else layer.grid(tensor)


def one_by_one(runner: Runner, pixels: Pixels, names: Sequence[str]) -> bool:
    """Whether pictures must run one by one: a module's rows are not pictures (windows), so that nothing else tells
    whose they are."""
    with runner.working():
        known = survey(runner, runner.given(pixels))
    return any(seen.shape[:1] != (known.pictures,) for seen in known.seen if seen.name in names)


def inside(runner: Runner, pixels: Pixels, names: Sequence[str], target: Target) -> Inside:
    """One forward and one backward pass, from the score to the pixels, that keeps the gradients at the named modules.

    Raises:
        NotSupportedError: autograd does not reach the pixels.
    """
    refuse_foreign(runner, "a sum over the biases of all layers")
    given = runner.given(pixels)
    known = survey(runner, given)
    with runner.working(), torch.enable_grad(), capture(module_of(runner.network), names) as outputs:
        leaf = given.detach().clone().requires_grad_()
        scores = target.score(runner.traced(leaf))
        calls = [(name, output) for name, each in outputs.items() for output in each if output.requires_grad]
        wanted = [leaf, *(output for _, output in calls)]
        found = torch.autograd.grad(scores.sum(), wanted, allow_unused=True) if scores.requires_grad else [None]
        runner.counted(backward=len(pixels))
    reached = runner.reached(found[0], lambda: lost(runner, given, target))
    gradients: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    for (name, _), gradient in zip(calls, found[1:], strict=False):
        if gradient is not None:
            gradients[name].append(gradient)
    return Inside(given, scores.detach(), reached.float(), gradients, known)
