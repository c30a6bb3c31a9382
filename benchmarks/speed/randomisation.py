"""Randomisation of parameters, the layers drawn anew one after the other from the scores down, beside Quantus."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import sightline
from speed.races import Make, Maps, Peer, Race
from speed.subjects import Asked

METHOD = "gradient"
"""The cheapest map there is, so that what is measured is the check and not the method."""


def ours(precision: str) -> Make:
    """Ours: every layer by itself, Spearman's correlation after each."""

    def make(asked: Asked, _parts: int) -> Maps:
        how: Any = {"precision": "fast" if precision == "fast" else "float32"}
        found = sightline.explain(asked.classifier, asked.pixels, METHOD, target=asked.targets[0], **how)
        judged = sightline.evaluate(asked.classifier, found, "parameter-randomisation(stages=0)", **how)
        assert not isinstance(judged, list)
        return [torch.tensor([[judged.value]])]

    return make


def quantus(asked: Asked, _parts: int) -> Maps:
    """Quantus' MPRT, which is given the same gradients by a function."""
    import quantus as package  # takes many seconds, and only this race needs it

    metric = package.MPRT(
        similarity_func=package.correlation_spearman,
        layer_order="top_down",
        normalise=False,
        abs=False,
        disable_warnings=True,
        seed=42,
    )
    state = torch.random.get_rng_state()
    found = metric(
        asked.network, asked.pixels.contiguous().numpy(), np.array([asked.targets[0]]), explain_func=_gradients,
        device="cpu",
    )  # fmt: skip
    torch.random.set_rng_state(state)  # Quantus draws from the global one
    layers = [values[0] for name, values in found.items() if name != "original"]
    return [torch.tensor([[float(np.mean(layers))]])]


def _gradients(model: Any, inputs: Any, targets: Any, **_: Any) -> NDArray[np.float32]:
    """∂score/∂pixels summed over the channels, as ours is."""
    pixels = torch.as_tensor(inputs, dtype=torch.float32).requires_grad_()
    scores = model(pixels)[torch.arange(len(pixels)), torch.as_tensor(targets)]
    (gradient,) = torch.autograd.grad(scores.sum(), pixels)
    return gradient.sum(1, keepdim=True).numpy()


RACES = [
    Race(
        key="parameter-randomisation",
        title="randomisation of parameters, every layer, of the gradient",
        ours=ours,
        peers=[Peer(name="quantus", call="MPRT, top-down, of the same gradients", make=quantus, compare=False)],
        repeats=1,
        networks=("ResNet-50", "ResNet-18"),
        note="each draws its own parameters; a pass forward and back for every layer with parameters and once more",
    ),
]
