"""Occlusion, RISE, LIME and KernelSHAP beside captum, zennit, TorchRay and lime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import torch
from lime.lime_image import LimeImageExplainer
from parity.captum_asks import attribute
from parity.injected import replaced
from torchray.attribution.rise import rise as torchray_rise
from zennit import attribution as zennit

from sightline.attribution.perturbation.rise import CellMasks, Rise
from sightline.attribution.table import METHODS
from sightline.images.segments import Grid
from speed.ours import explained, ours
from speed.races import Make, Maps, Peer, Race, everywhere
from speed.subjects import Asked

AT_ONCE = 16
WINDOWS = 729
STRIDES = {WINDOWS: 8, 196: 16}
GRID = Grid(rows=7, columns=7)
CUT = "regions=grid(rows=7, columns=7)"
RISE = "rise(samples=PARTS, seed=3)"


def occlusion(precision: str) -> Make:
    """Ours; a share of the windows are those of twice the stride."""
    return lambda asked, parts: explained(
        asked,
        [f"occlusion(window=16, stride={STRIDES[parts]}, fill=mean, score=logit)"],
        "fast" if precision == "fast" else "float32",
    )


@torch.no_grad()
def captum_occlusion(asked: Asked, parts: int) -> Maps:
    """captum's Occlusion, many windows in a batch."""
    ask = attribute(
        "Occlusion",
        sliding_window_shapes=(3, 16, 16),
        strides=(3, STRIDES[parts], STRIDES[parts]),
        perturbations_per_eval=AT_ONCE,
    )
    return [ask(asked.case)[0]]


def zennit_occlusion(asked: Asked, parts: int) -> Maps:
    """zennit's Occlusion, one window after another."""
    chosen = torch.eye(1000)[[asked.targets[0]]]
    with torch.no_grad(), zennit.Occlusion(model=asked.network, window=16, stride=STRIDES[parts]) as attributor:
        return [attributor(asked.pixels.clone(), chosen)[1][0].detach()]


@torch.no_grad()
def rise(asked: Asked, parts: int) -> Maps:
    """TorchRay's rise through our masks, whose making is timed as its own would be; probabilities for its sigmoid."""
    with replaced((torch, "sigmoid", lambda scores: scores.softmax(1))):
        found = torchray_rise(
            asked.network, asked.pixels, filter_masks=masks_of(asked, parts), num_masks=parts, batch_size=AT_ONCE
        )
    return [found[0, asked.targets[0]]]


def masks_of(asked: Asked, parts: int) -> torch.Tensor:
    """The masks of our RISE."""
    method = METHODS.make(RISE.replace("PARTS", str(parts)))
    assert isinstance(method, Rise)
    drawn = CellMasks.draw(parts, method.cells, method.shown, asked.pixels.shape[-2:], method.seed)
    return drawn.make(slice(0, parts))[:, :, 0]


def doubled(map: torch.Tensor, _theirs: torch.Tensor) -> torch.Tensor:
    """Ours without the division by the masks' mean, one half, that TorchRay leaves out."""
    return map / 2


def regions(asked: Asked) -> torch.Tensor:
    """The regions `1 1 h w`."""
    return GRID.make(asked.pixels, asked.classifier.values)[:, None]


def of_captum(name: str) -> Make:
    """captum's Lime or KernelShap, many samples in a batch."""

    @torch.no_grad()
    def make(asked: Asked, parts: int) -> Maps:
        found = getattr(captum.attr, name)(asked.network).attribute(
            asked.pixels,
            target=asked.targets[0],
            n_samples=parts,
            feature_mask=regions(asked),
            perturbations_per_eval=AT_ONCE,
        )
        return [found[0, 0]]

    return make


def lime(asked: Asked, parts: int) -> Maps:
    """lime's explain_instance over the same regions."""
    low, high, _ = asked.classifier.values.like(asked.pixels)
    cut = regions(asked)[0, 0].numpy()
    given = ((asked.pixels - low) / (high - low))[0].permute(1, 2, 0).double().numpy()
    found = LimeImageExplainer(random_state=0).explain_instance(
        given,
        _probabilities(asked),
        labels=(asked.targets[0],),
        top_labels=None,
        num_samples=parts,
        batch_size=AT_ONCE,
        segmentation_fn=lambda _image: cut,
    )
    weights = np.zeros(int(cut.max()) + 1, np.float32)
    for region, weight in found.local_exp[asked.targets[0]]:
        weights[region] = weight
    return [torch.from_numpy(weights[cut])]


def _probabilities(asked: Asked) -> Callable[[Any], Any]:
    low, high, _ = asked.classifier.values.like(asked.pixels)

    @torch.no_grad()
    def ask(pictures: Any) -> Any:
        prepared = torch.from_numpy(np.asarray(pictures)).permute(0, 3, 1, 2).float() * (high - low) + low
        if asked.pixels.is_contiguous(memory_format=torch.channels_last) and not asked.pixels.is_contiguous():
            prepared = prepared.contiguous(memory_format=torch.channels_last)
        else:
            prepared = prepared.contiguous()
        return asked.network(prepared).softmax(1).numpy()

    return ask


SAMPLED = "captum's Lime is by another definition, and each draws its own samples"
RACES = [
    Race(
        key="occlusion",
        title="occlusion 16 × 16, stride 8 (729 windows)",
        ours=occlusion,
        peers=[
            Peer(
                name="captum",
                call=f"Occlusion(16, strides=8, perturbations_per_eval={AT_ONCE})",
                make=captum_occlusion,
            ),
            Peer(name="zennit", call="Occlusion(window=16, stride=8)", make=zennit_occlusion, compare=False),
        ],
        parts=WINDOWS,
        quick=196,
        warm=None,
        forward=WINDOWS,
        repeats=1,
        targets={"ResNet-50": (6, 12), "VGG-16": (10, 20)},
        note="zennit keeps the score of what is left in place of the loss",
    ),
    Race(
        key="rise",
        title="RISE, 4000 masks",
        ours=ours(RISE),
        peers=[Peer(name="torchray", call=f"rise(num_masks=4000, batch_size={AT_ONCE})", make=rise, fits=[doubled])],
        parts=4000,
        share=320,
        quick=96,
        whole=True,
        forward=4000,
        repeats=1,
        targets=everywhere(2.2, 5),
        note="through the same masks",
    ),
    Race(
        key="lime",
        title="LIME, 1000 samples",
        ours=ours(f"lime(samples=PARTS, {CUT})"),
        peers=[
            Peer(
                name="captum",
                call=f"Lime(n_samples=1000, perturbations_per_eval={AT_ONCE})",
                make=of_captum("Lime"),
                compare=False,
            ),
            Peer(
                name="lime",
                call=f"LimeImageExplainer(num_samples=1000, batch_size={AT_ONCE})",
                make=lime,
                compare=False,
            ),
        ],
        parts=1000,
        share=200,
        quick=64,
        whole=True,
        forward=1000,
        repeats=1,
        targets=everywhere(2.2, 5),
        note=f"49 regions of a grid for everybody; {SAMPLED}",
    ),
    Race(
        key="kernel-shap",
        title="KernelSHAP, 1000 samples",
        ours=ours(f"kernel-shap(samples=PARTS, {CUT})"),
        peers=[
            Peer(
                name="captum",
                call=f"KernelShap(n_samples=1000, perturbations_per_eval={AT_ONCE})",
                make=of_captum("KernelShap"),
                compare=False,
            )
        ],
        parts=1000,
        share=200,
        quick=100,
        whole=True,
        warm=100,
        forward=1000,
        repeats=1,
        targets=everywhere(2.2, 5),
        note="49 regions of a grid for everybody; each draws its own samples",
    ),
]
