"""M1 to M9 and R, on every network: what a map must be, whatever the network, the batch and the memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from sightline.errors import LayerError, TargetError
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.pictures.scale import ALL_ZERO, FLAT, NO_POSITIVE
from sightline.spec import has_field
from sightline.testing.case import REFUSALS, Case, hold, left_as_found, refusal, same

_EXACT = 1e-6
_KERNELS = 1e-4
"""How far results of different batch sizes may differ: CPU kernels sum in another order."""


def m1_twin(case: Case) -> None:
    """In-place, shared and functional operations are explained as their plain twins, at every layer."""
    if case.specimen.twin is None:
        return
    pixels = case.specimen.pixels()
    chooses = has_field(case.method, "layer") or has_field(case.method, "layers")
    places: list[str | None] = [None] if case.specimen.alike or not chooses else []
    # What joins several layers chooses the others itself, which a twin may have elsewhere.
    if has_field(case.method, "layer") and (case.specimen.alike or not has_field(case.method, "layers")):
        places += case.specimen.layers
    for layer in places:
        own = _or_refusal(case, case.specimen.build(), pixels, layer)
        twins = _or_refusal(case, case.specimen.twin(), pixels, layer)
        if isinstance(own, str) or isinstance(twins, str):
            hold(type(own) is type(twins), f"at {layer}: {own} and {twins}")
        else:
            same(own, twins, _EXACT, f"at {layer or 'the chosen layer'}")


def m5_layers(case: Case) -> None:
    """A layer that cannot be explained at is refused, and another is named."""
    if not has_field(case.method, "layer"):
        return
    for layer in case.specimen.wrong_layers:
        network, pixels = case.specimen.build(), case.specimen.pixels()
        names = {name for name, _ in network.named_modules() if name}
        if not case.method.traits.class_sensitive and not isinstance(_or_refusal(case, network, pixels, layer), str):
            continue  # what does not look at the class may be asked about a grid that no longer reaches the score
        with left_as_found(network, pixels, f"after layer {layer!r}"):
            said = refusal(LayerError, partial(case.results, network, pixels, layer=layer), f"layer {layer!r}")
        hold(any(f"'{name}'" in str(said) for name in names - {layer}), f"no way out is named: {said}")


def m8_batch(case: Case) -> None:
    """A picture's map does not depend on its batch mates, their order, or how many run at once."""
    network, pixels = case.specimen.build(), case.specimen.pixels(3, seed=1)
    together = case.maps(network, pixels, target=1)
    hold(together.shape == (3, *pixels.shape[-2:]), f"maps of shape {together.shape}")
    alone = np.concatenate([case.maps(network, pixels[i : i + 1], target=1) for i in range(3)])
    for one, other in zip(together, alone, strict=True):
        same(one, other, _KERNELS, "in a batch and alone")
    turned = case.maps(network, pixels[[2, 0, 1]], target=1)[[1, 2, 0]]
    tight = case.maps(network, pixels, target=1, memory=1)
    direct = _direct(case, network, pixels)
    for words, others in (("in another order", turned), ("with little memory", tight), ("asked directly", direct)):
        for one, other in zip(together, others, strict=True):
            same(one, other, _KERNELS, words)


def m9_target(case: Case) -> None:
    """A wrong number of targets is refused before any pass, a wrong class by name; the result says what it explains."""
    asked: list[int] = []
    network, pixels = case.specimen.build(), case.specimen.pixels(3)
    count_calls(network, asked)
    refusal(TargetError, partial(case.results, network, pixels, target=[0, 1]), "two targets for three pictures")
    hold(not asked, "the network was asked before the targets were counted")
    for wrong in (99, -1):
        refusal(TargetError, partial(case.results, network, pixels, target=wrong), f"class {wrong}")
        hold(sum(asked) <= 3, "more than the clean pass was run before the class was checked")
        asked.clear()
    result = case.results(network, pixels[:1], target=1)[0]
    with Passes(case.specimen.wrapped(network)) as passes:
        scores = passes.scores(pixels[:1])
        probability = float(passes.probabilities(scores)[0, 1])
    hold(result.target.index == 1, "result.target.index == 1")
    hold(
        abs(result.target.score - float(scores[0, 1])) <= _EXACT * max(1, float(scores.abs().max())),
        "abs(result.target.score - float(scores[0, 1])) <= _EXACT * max(1, float(scores.abs().max()))",
    )
    hold(
        abs(result.target.probability - probability) <= _EXACT, "abs(result.target.probability - probability) <= _EXACT"
    )


def p1_counted(case: Case) -> None:
    """The passes that the result tells of are those that were run."""
    asked: list[int] = []
    network = case.specimen.build()
    count_calls(_last_linear(network), asked)  # one row of scores a pass: a batch may widen inside the network
    for words in ("first call", "second call"):
        asked.clear()
        told = case.results(network, case.specimen.pixels())[0].passes
        hold(told.forward == sum(asked), f"{words}: {told.forward} forward passes told, {sum(asked)} run")


def n1_flat(case: Case) -> None:
    """Where nothing speaks for any class, the map is flat and the result says so."""
    network = case.specimen.build()
    if case.method.traits.class_sensitive:
        scale_head(network, 0.0)
    else:
        blindfold(network)  # it shows what a layer sees, whatever the scores make of it
    result = case.results(network, case.specimen.pixels(), target=0)[0]
    hold(np.isfinite(result.map).all(), "np.isfinite(result.map).all()")
    flat = float(np.ptp(result.map)) <= _EXACT * max(1.0, float(np.abs(result.map).max()))
    hold(flat, f"a map from {result.map.min()} to {result.map.max()} of a network that looks at nothing")
    hold({ALL_ZERO, FLAT} & set(result.warnings), f"no words about a flat map: {result.warnings}")


def n2_scale(case: Case) -> None:
    """Scores a million millions times smaller or larger give the same map, up to that factor."""
    if not case.method.traits.linear or case.specimen.name in ("sigmoid head", "softmax head"):
        return
    expected = case.fresh(target=0)
    for factor in (1e-12, 1e12):
        network = case.specimen.build()
        scale_head(network, factor)
        found = case.maps(network, case.specimen.pixels(), target=0)
        same(found / factor, expected, _KERNELS, f"scores × {factor:g}")


def n3_one_signed(case: Case) -> None:
    """A map without positive values comes with words."""
    network = case.specimen.build()
    for target in (0, 1):
        result = case.results(network, case.specimen.pixels(), target=target)[0]
        said = {ALL_ZERO, FLAT, NO_POSITIVE} & set(result.warnings)
        hold(result.map.max() > 0 or said, "nothing is said about a map without positive values")


def c1_complete(case: Case) -> None:
    """Where completeness is claimed, the error is told, is the error, and more than a hundredth is warned about."""
    if not case.method.traits.complete:
        return
    result = case.results(case.specimen.build(), case.specimen.pixels(), target=0)[0]
    error, difference = result.numbers["completeness_error"], result.numbers["score_difference"]
    total = float(result.map.astype(np.float64).sum())
    slack = 1e-4 * float(np.abs(result.map).sum())
    hold(abs(total - difference - error) <= slack, f"the map sums to {total}, told {difference} + {error}")
    warned = any("add up" in warning for warning in result.warnings)
    hold(warned == (abs(error) > 0.01 * abs(difference)), f"error {error} of {difference}, warned {warned}")


def scale_head(network: nn.Module, factor: float) -> None:
    """Multiply the weights of the last linear layer, and its bias unless the factor is zero."""
    linear = _last_linear(network)
    with torch.no_grad():
        linear.weight.mul_(factor)
        if factor:
            linear.bias.mul_(factor)


def blindfold(network: nn.Module) -> None:
    """Set all weights to zero: only biases are left, which are the same everywhere."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.zero_()


def _last_linear(network: nn.Module) -> nn.Linear:
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def count_calls(network: nn.Module, asked: list[int]) -> None:
    """Note the number of pictures of every call of a network, or of a part of it."""
    original = network.forward

    def forward(pixels: torch.Tensor) -> Any:
        asked.append(len(pixels))
        return original(pixels)

    network.forward = forward


def _direct(case: Case, network: nn.Module, pixels: torch.Tensor) -> np.ndarray:
    """The maps by the method itself, as a plug-in may be called."""
    with left_as_found(network, pixels, "after asking directly"), Passes(case.specimen.wrapped(network)) as passes:
        maps = case.method(passes, pixels, Target.of(1, len(pixels)))
    return maps.at_pixels(*pixels.shape[-2:]).numpy()


def _or_refusal(case: Case, network: nn.Module, pixels: torch.Tensor, layer: str | None) -> np.ndarray | str:
    try:
        return case.maps(network, pixels, **({"layer": layer} if layer else {}))
    except REFUSALS as refused:
        return str(refused)
