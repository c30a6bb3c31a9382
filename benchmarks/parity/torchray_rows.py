"""TorchRay (the authors of extremal perturbations): masks, excitation backprop, RISE, gradient × activation."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torchray.attribution.excitation_backprop import contrastive_excitation_backprop, excitation_backprop, update_resnet
from torchray.attribution.extremal_perturbation import contrastive_reward, extremal_perturbation
from torchray.attribution.linear_approx import linear_approx
from torchray.attribution.rise import rise

from parity.injected import replaced, with_merged_normalisation
from parity.rows import RESNETS, TRANSFORMERS, Case, Make, Row, quietly, rows_of
from sightline.attribution.mask.smooth_mask import SmoothMask
from sightline.attribution.perturbation.rise import CellMasks, Rise
from sightline.attribution.table import METHODS

row = rows_of("torchray")
RISE = "rise(samples=64, seed=3)"
STEPS = 4
EXTREMAL = f"extremal-perturbation(perturbation=fade, iterations={STEPS}"
SHORT = (
    f"{STEPS} iterations in place of 800, in float64, from the same random start in both (from a constant, rounding "
    "decides which of thousands of equal values the sort takes first); ours with TorchRay's margin, which is 6 pixels "
    "shorter at the right and at the bottom than at the left and at the top; on the network without ReLUs, where "
    "rounding does not grow"
)
BLUR = (
    f"{STEPS} iterations in both; TorchRay's blur darkens the borders (zeros beyond them) and its margin is not even; "
    "ours mirrors the borders, and has an even margin"
)
MERGED = (
    "of the network with its normalisations merged, which TorchRay passes over as if they were not there; it adds "
    "10⁻²⁰ to what it divides by, ours 10⁻¹² of its root mean square, and 10⁻⁶ where branches meet and cancel: with "
    "10⁻¹³ there too the largest difference on ResNet-18 is 2·10⁻⁶"
)
OVER = "TorchRay passes batch normalisation over, ours makes it part of the convolution before it"
SIGMOID = "the same masks in both, and softmax for TorchRay's sigmoid; it divides by N, ours by N·½ as the paper"


def extremal(**options: Any) -> Make:
    """extremal_perturbation; it freezes the network, so that it is given a copy."""

    def theirs(case: Case) -> torch.Tensor:
        asked = {"perturbation": "fade", "max_iter": STEPS, **options}
        with replaced((torch, "ones", from_random)):
            found = quietly(extremal_perturbation, copy.deepcopy(case.network), case.pixels, case.target, **asked)
        return found[0][0, 0]

    return theirs


_ONES = torch.ones


def from_random(*size: int, **options: Any) -> torch.Tensor:
    """In place of parameters of 1, random ones, the same whenever asked for; any other tensor of ones as it is."""
    if len(size) < 3 or size[-1] != size[-2]:
        return _ONES(*size, **options)
    return 0.3 + 0.6 * torch.rand(*size, generator=torch.Generator().manual_seed(0))


def with_their_margin(spec: str) -> Make:
    """Our mask from the same start, on the part of the plane that TorchRay's covers."""
    make = SmoothMask.make

    def uneven(shape: SmoothMask, parameters: torch.Tensor) -> torch.Tensor:
        return make(shape, parameters)[:, : 1 - shape.step, : 1 - shape.step]

    def ours(case: Case) -> torch.Tensor:
        with replaced((torch, "ones", from_random), (SmoothMask, "make", uneven)):
            return replace(case, known={}).ours(spec)

    return ours


def excitation(name: str, merged: bool) -> Make:
    """Excitation backprop to layer3, where its authors look."""

    def theirs(case: Case) -> torch.Tensor:
        network = update_resnet(with_merged_normalisation(case.network) if merged else copy.deepcopy(case.network))
        if name == "excitation":
            return excitation_backprop(network, case.pixels.clone(), case.target, saliency_layer="layer3")[0, 0]
        return contrastive_excitation_backprop(
            network,
            case.pixels.clone(),
            case.target,
            saliency_layer="layer3",
            contrast_layer="layer4",
            classifier_layer="fc",
        )[0, 0]

    return theirs


def linear(case: Case) -> torch.Tensor:
    """linear_approx: gradient × activation at a layer."""
    found: torch.Tensor = linear_approx(
        copy.deepcopy(case.network), case.pixels.clone(), case.target, saliency_layer=case.layer
    )
    return found[0, 0]


def masked(case: Case) -> torch.Tensor:
    """rise through our masks, with probabilities."""
    method = METHODS.make(RISE)
    assert isinstance(method, Rise)
    drawn = CellMasks.draw(method.samples, method.cells, method.shown, case.pixels.shape[-2:], method.seed)
    masks = drawn.make(slice(0, method.samples))[:, :, 0]
    with replaced((torch, "sigmoid", lambda scores: scores.softmax(1))):
        found = rise(case.network, case.pixels, filter_masks=masks, num_masks=len(masks), batch_size=16)
    return found[0, case.target]


def halved(ours: torch.Tensor, _theirs: torch.Tensor) -> torch.Tensor:
    """Ours without the division by the masks' mean, ½."""
    return ours / 2


def masks(ours: str, call: str, why: str = SHORT, tolerance: float | None = 1e-4, **options: Any) -> Row:
    """A mask found by descent: few steps, on the network without kinks, where rounding does not grow."""
    return row(
        ours,
        call,
        extremal(**options),
        make=with_their_margin(ours) if tolerance else None,
        why=why,
        tolerance=tolerance,
        networks=TRANSFORMERS,
        double=tolerance is not None,
    )


ROWS = [
    masks(f"{EXTREMAL})", "extremal_perturbation(fade)"),
    masks(f"{EXTREMAL}, variant=delete)", "extremal_perturbation(fade, delete)", variant="delete"),
    masks(f"{EXTREMAL}, variant=dual)", "extremal_perturbation(fade, dual)", variant="dual"),
    masks(
        f"{EXTREMAL}, reward=contrastive)",
        "extremal_perturbation(fade, contrastive_reward)",
        reward_func=contrastive_reward,
    ),
    masks(f"extremal-perturbation(iterations={STEPS})", "extremal_perturbation", BLUR, None, perturbation="blur"),
    row(RISE, "rise(num_masks=64)", masked, fit=halved, why=SIGMOID),
    row("hires-cam(layer=LAYER)", "linear_approx", linear, networks=RESNETS, where="each"),
    row(
        "excitation-backprop(layer=layer3)",
        "excitation_backprop(merged)",
        excitation("excitation", True),
        tolerance=None,
        why=MERGED,
        networks=RESNETS,
    ),
    row(
        "excitation-backprop(layer=layer3)",
        "excitation_backprop",
        excitation("excitation", False),
        tolerance=None,
        why=OVER,
        networks=RESNETS,
    ),
    row(
        "contrastive-excitation-backprop(layer=layer3)",
        "contrastive_excitation_backprop(merged)",
        excitation("contrastive", True),
        tolerance=None,
        why=MERGED,
        networks=RESNETS,
    ),
]
