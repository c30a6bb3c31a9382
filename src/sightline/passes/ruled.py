"""Gradients that pass non-linearities by a rule: each needs a pass of its own, since the rule is set while it runs."""

from __future__ import annotations

import torch

from sightline.errors import NotSupportedError
from sightline.models.feature_maps import FeatureMaps
from sightline.models.quiet import mixes_batch_mates
from sightline.models.rules import Rule, passing
from sightline.models.targets import Target
from sightline.passes.runner import Runner
from sightline.types import ChannelMap, Pixels


def ruled_gradient(runner: Runner, batch: Pixels, target: Target, rule: Rule) -> ChannelMap:
    """∂score/∂pixels by the rule, `b c h w` float32.

    Raises:
        NotSupportedError: the rule is not defined for something between the pixels and the score.
    """
    if len(batch) > 1 and mixes_batch_mates(runner.network):
        parts = [target.rows(slice(place, place + 1)) for place in range(len(batch))]
        return torch.cat(
            [ruled_gradient(runner, one, part, rule) for one, part in zip(batch.split(1), parts, strict=True)]
        )
    return _run(runner, batch, target, rule)[0]


def multipliers(runner: Runner, batch: Pixels, reference: Pixels, target: Target) -> tuple[ChannelMap, torch.Tensor]:
    """DeepLIFT's multipliers `b c h w` float32, and the differences of the scores `b`.

    Raises:
        NotSupportedError: the rescale rule is not defined for something between the pixels and the score.
    """
    if mixes_batch_mates(runner.network):
        raise NotSupportedError(
            f"the rule runs a picture beside its reference, and {runner.classifier.name!r} mixes the pictures "
            "of a batch (batch normalisation without stored statistics): use integrated-gradients"
        )
    gradient, scores = _run(runner, torch.cat([batch, reference]), target.tiled(2), "rescale")
    return gradient[: len(batch)], scores[: len(batch)] - scores[len(batch) :]


def _run(runner: Runner, batch: Pixels, target: Target, rule: Rule) -> tuple[ChannelMap, torch.Tensor]:
    with runner.working(), torch.enable_grad():
        leaf = runner.given(batch).detach().requires_grad_()
        with passing(rule) as check:
            scores = target.score(runner.traced(leaf))
        explained = (scores[: len(scores) // 2] if rule == "rescale" else scores).sum()
        gradient = None
        if explained.requires_grad:
            # Differences pass linear maps as they are, and a feature map may stand before the first ReLU.
            may_have_none = rule == "rescale" or isinstance(runner.network, FeatureMaps)
            check(explained, leaf, runner.classifier.name, may_have_none)
            (gradient,) = torch.autograd.grad(explained, leaf, allow_unused=True)
        runner.counted(backward=len(batch))
    return runner.reached(gradient).float(), scores.detach()
