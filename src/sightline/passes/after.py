"""The rest of the network: what it makes of a layer's activations when they are changed.

One picture runs to the layer, and there the batch widens to all versions, so that only the rest runs for each. Where
the rest looks back at what came before the layer (a concatenation with earlier features), it cannot be widened: then
copies of the picture run from the start. Which of both a network needs is tried out once for each layer, with the way
that is always right beside it.
"""

from __future__ import annotations

import torch

from sightline.errors import ModelError, NotSupportedError
from sightline.models.layers import Layer
from sightline.models.quiet import mixes_batch_mates
from sightline.models.taps import replace
from sightline.passes.looking import module_of
from sightline.passes.memory import MEMORY
from sightline.passes.runner import Runner
from sightline.types import Pixels, Scores

TRIAL = 5
"""Passes: two versions both ways, and the picture itself."""


def after(runner: Runner, one: Pixels, layer: Layer, clean: torch.Tensor, changed: torch.Tensor) -> Scores:
    """Scores of one picture, `1 c h w`, with the layer's activations `m K h w` in place of its own: `m k`.

    Args:
        runner: where the network is called.
        one: the picture.
        layer: where the activations are changed.
        clean: the picture's own activations, `K h w`, for the trial.
        changed: the activations that the rest of the network is given.

    Raises:
        NotSupportedError: the network does not give its own scores back when it is given its own activations.
    """
    with runner.working(), torch.no_grad():
        # A network that mixes the pictures of a batch is asked about one version at a time: nothing is widened.
        if len(changed) == 1 or mixes_batch_mates(runner.network):
            return torch.cat([_replaced(runner, one, layer, version) for version in changed.split(1)])
        if _widens(runner, one, layer, clean):
            return _replaced(runner, one, layer, changed)
        return _replaced(runner, one.expand(len(changed), -1, -1, -1), layer, changed)


def trial_passes(runner: Runner, one: Pixels, layer: Layer, versions: int) -> int:
    """How many passes the trial at a layer takes at most, where the first question is about so many versions."""
    network = module_of(runner.network)
    plain = min(versions, runner.at_once(one, gradients=False)) == 1 or mixes_batch_mates(network)
    return 0 if plain or MEMORY.widens(network, one, layer.name) is not None else TRIAL


def _replaced(runner: Runner, given: Pixels, layer: Layer, changed: torch.Tensor) -> Scores:
    with replace(module_of(runner.network), layer.name, lambda own: layer.raw(changed, own)):
        # In float32 with `precision=fast`, too: what one channel of many counts is lost in bfloat16's eight bits, and
        # most of the work lies before the layer.
        return runner.run(given, rows=len(changed), exact=True)


def _widens(runner: Runner, one: Pixels, layer: Layer, clean: torch.Tensor) -> bool:
    """Whether the batch may widen at the layer: tried once, with the picture's own activations and their opposites."""
    network = module_of(runner.network)
    known = MEMORY.widens(network, one, layer.name)
    if known is None:
        trial = torch.stack([clean, -clean])
        right = _replaced(runner, one.expand(2, -1, -1, -1), layer, trial)
        _check_way_back(runner, layer, runner.scores(one), right[:1])
        try:
            known = _alike(runner, _replaced(runner, one, layer, trial), right)
        except ModelError:
            known = False
        MEMORY.keep_widens(network, one, layer.name, known)
    return known


def _check_way_back(runner: Runner, layer: Layer, clean: Scores, found: Scores) -> None:
    if not _alike(runner, found, clean):
        raise NotSupportedError(
            f"layer {layer.name!r} of {runner.classifier.name!r} hands on more than its activations, so they cannot be "
            "exchanged: use another layer, or a method that only reads them such as grad-cam"
        )


def _alike(runner: Runner, found: Scores, expected: Scores) -> bool:
    # Batches of other sizes are summed in another order; bfloat16 keeps 8 bits, and a GPU's TF32 10.
    tolerance = 3e-2 if runner.precision == "fast" else 1e-2 if runner.device.type == "cuda" else 1e-4
    return torch.allclose(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))
