"""Whether gradients come through: to the pixels, and to the layers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.func import functional_call

from sightline.doctor.findings import Finding
from sightline.doctor.network import some
from sightline.models.classifier import dtype_of
from sightline.models.outputs import scores_of
from sightline.passes.passes import Passes
from sightline.types import Pixels


def gradients(passes: Passes, pixels: Pixels, *, alive: bool = True) -> Iterator[Finding]:
    """Whether gradients come through to the pixels, and layers that none reaches.

    Args:
        passes: where the network is asked.
        pixels: `b c h w`.
        alive: whether its scores depend on the picture at all; if not, nothing can be expected here.
    """
    if passes.classifier.network is None:
        yield Finding(check="gradients", verdict="not asked", words="this network is asked forward only")
        return
    slopes, layers = _slopes(passes, passes.classifier.network, pixels)
    numbers = {"largest": max(slopes), "smallest": min(slopes)}
    if not all(torch.isfinite(torch.tensor(slopes))):
        words = "they are NaN or infinite"
        yield Finding(check="gradients at the pixels", verdict="wrong", words=words, advice="use occlusion")
        return
    none = sum(slope == 0 for slope in slopes)
    yield Finding(
        check="gradients at the pixels",
        verdict="wrong" if none else "ok",
        words=f"they are 0 everywhere for {none} of {len(pixels)} pictures" if none else "they come through",
        advice="" if not none
        else "something cuts them off (argmax, rounding, detach, a saturated activation): use occlusion or rise"
        if alive else "the scores do not depend on the picture: mend that first, no method can show what is not there",
        numbers=numbers,
    )  # fmt: skip
    dead = [name for name, reached in layers.items() if not reached]
    words = f"none reaches {some(dead)} for any picture ({len(dead)} of the {len(layers)} layers with parameters)"
    yield Finding(
        check="gradients at the layers",
        verdict="care" if dead else "ok",
        words=words if dead else "every layer with parameters gets some",
        advice=_advice(layers, cut=none == len(pixels), alive=alive) if dead else "",
        numbers={"layers": len(dead)},
    )


def _advice(layers: dict[str, bool], *, cut: bool, alive: bool) -> str:
    """What to do about layers that no gradient reaches; `cut`: it reaches no pixel, either."""
    if not alive:
        return "mend the scores first"
    first = next((name for name, reached in layers.items() if reached), None)
    if cut and first is not None:
        return (
            f"look for what cuts them off just before {first}, the first that gets some; methods look in vain before it"
        )
    if cut:
        return "look for what cuts them off behind the last layer, such as argmax or rounding"
    return "they do not act on the score (dead units, or a branch that is not used): do not explain there"


def _slopes(passes: Passes, network: nn.Module, pixels: Pixels) -> tuple[list[float], dict[str, bool]]:
    """The largest gradient at the pixels of each picture; of each layer with parameters, whether it gets any."""
    parameters = {name: one.detach().clone().requires_grad_() for name, one in network.named_parameters()}
    floating = {name: one for name, one in parameters.items() if one.is_floating_point()}
    alive: set[str] = set()
    slopes = []
    with Passes(passes.classifier), torch.inference_mode(False), torch.enable_grad():
        for one in pixels.split(1):
            leaf = one.detach().to(dtype_of(passes.classifier), copy=True).requires_grad_()
            scores = scores_of(functional_call(network, parameters, (leaf.clone(),)), 1)
            if not scores.requires_grad:
                slopes.append(0.0)
                continue
            found = torch.autograd.grad(scores.amax(), [leaf, *floating.values()], allow_unused=True)
            slopes.append(0.0 if found[0] is None else float(found[0].abs().max()))
            reached = (name for name, one in zip(floating, found[1:], strict=True) if one is not None and one.any())
            alive |= {name.rpartition(".")[0] for name in reached}
    layers = dict.fromkeys(name.rpartition(".")[0] for name in floating)
    return slopes, {layer or "the network": layer in alive for layer in layers}
