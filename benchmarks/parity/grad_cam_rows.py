"""pytorch-grad-cam (the package `grad-cam`): class activation maps before they are stretched and enlarged for display.

It stretches every map to 0…1 on the layer's cells, enlarges it, and stretches it again; all but the rows that say so
are compared before that, and after its ReLU, which cannot be switched off.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_grad_cam as pgc
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import base_cam
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST, ClassifierOutputTarget
from torch import nn

from parity.injected import replaced
from parity.rows import FEW, RESNETS, TRANSFORMERS, Case, Fit, Make, Row, called, either_sign, positive
from sightline.attribution.table import METHODS
from sightline.models.classifier import wrap
from sightline.passes.passes import Passes

PEER = "grad-cam"
SIGN = "a component has no sign of its own; grad-cam leaves it to chance, and ours is given the one that fits"
RELU = "grad-cam cuts off negative parts always, and so is done with ours"
HUGE = "where activations have both signs, grad-cam switches a channel to min − 10⁷; ours to zero, as in the paper"
CORNERS = "grad-cam enlarges its masks corner on corner (align_corners), ours cell on cell"
CELLS = "with grad-cam's masks enlarged cell on cell"
THROUGH = (
    "both weigh the nearest classes by their probabilities; ours takes them as constants, grad-cam differentiates "
    "through them"
)
CHANNELS = "the paper scales a layer over all its channels, grad-cam each channel by itself"
DISPLAY = "compared as grad-cam shows it: stretched, enlarged to the picture, stretched again"
EPSILON = "grad-cam adds 10⁻⁶ to the denominator 2 g² + g³ Σ A, which is of that size itself"
REFINED = "compared as grad-cam shows it: it enlarges each layer's map and stretches it again before it multiplies"
JOINED = "compared as grad-cam shows it; it stretches each layer's map from its least value, ours does not"


def raw(maps: Any, _size: Any = None) -> NDArray[np.float32]:
    """In place of grad-cam's stretching and enlarging: maps as they are."""
    return np.asarray(maps, np.float32)


def as_shown(map: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Our map `h w` as grad-cam shows it."""
    low = scale_cam_image(map.relu().float().numpy()[None], tuple(theirs.shape[::-1]))
    return torch.from_numpy(scale_cam_image(low)[0]).double()


def asked(method: Any, case: Case, target: Callable[[int], Any] = ClassifierOutputTarget) -> torch.Tensor:
    """The peer's map for the case's class; the gradients that it leaves in the network are taken away."""
    try:
        found = method(input_tensor=case.pixels.clone(), targets=[target(case.target)])
    finally:
        case.network.zero_grad(set_to_none=True)
    return torch.from_numpy(np.array(found[0]))


def cam(name: str, *, target: Callable[[int], Any] = ClassifierOutputTarget) -> Make:
    """A method's raw map on the layer's cells."""

    def theirs(case: Case) -> torch.Tensor:
        with replaced((base_cam, "scale_cam_image", raw)):
            method = getattr(pgc, name)(case.network, [case.module], case.grid if case.tokens else None)
            with method:
                return asked(method, case, target)

    return theirs


def displayed(name: str, *layers: str, **options: Any) -> Make:
    """A method's map as it comes out, from 0 to 1 at the pixels: at the case's layer, or joined over layers."""

    def theirs(case: Case) -> torch.Tensor:
        modules = [case.network.get_submodule(layer) for layer in layers] or [case.module]
        return asked(getattr(pgc, name)(case.network, modules, case.grid if case.tokens else None, **options), case)

    return theirs


def ablation(case: Case) -> torch.Tensor:
    """AblationCAM; it exchanges the layer in the network, so that it is given a copy."""
    twin = copy.deepcopy(case.network)
    layer, reshape = (AblationLayerVit(), case.grid) if case.tokens else (AblationLayer(), None)
    with replaced((base_cam, "scale_cam_image", raw)):
        method = pgc.AblationCAM(twin, [twin.get_submodule(case.layer)], reshape, layer)
        with method, torch.no_grad():
            return torch.from_numpy(method(case.pixels, targets=[ClassifierOutputTarget(case.target)])[0])


def score_on_cells(case: Case) -> torch.Tensor:
    """ScoreCAM with its masks enlarged cell on cell."""
    with replaced((nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear", align_corners=False))):
        return cam("ScoreCAM")(case)


def finer(case: Case) -> torch.Tensor:
    """FinerCAM for the case's class."""
    method = pgc.FinerCAM(case.network, [case.module], case.grid if case.tokens else None)
    with method, replaced((base_cam, "scale_cam_image", raw)):
        found = method(case.pixels.clone(), target_idx=case.target)
    case.network.zero_grad(set_to_none=True)
    return torch.from_numpy(found[0])


def guided(case: Case) -> torch.Tensor:
    """GuidedBackpropReLUModel; it exchanges modules in the network, so that it is given a copy."""
    found = pgc.GuidedBackpropReLUModel(copy.deepcopy(case.network))(case.pixels.clone(), case.target)
    return torch.from_numpy(found.transpose(2, 0, 1).copy())


class Times(nn.Module):
    """Scores times a factor."""

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return 1000 * scores


def thousandfold(target: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """The logit times 1000."""
    return lambda scores: 1000 * scores[target]


def plus_plus_of_thousandfold(case: Case) -> torch.Tensor:
    """Our Grad-CAM++ of the logit times 1000."""
    network = nn.Sequential(case.network, Times())
    method = METHODS.make(f"grad-cam-plus-plus(layer=0.{case.layer})")
    return method(Passes(wrap(network)), case.pixels, case.target).values[0]


def full_grad(case: Case) -> torch.Tensor:
    """FullGrad as it comes out."""
    return asked(pgc.FullGrad(case.network, []), case)


def simple(ours: str, name: str, why: str = "", fit: Fit | None = None, **options: Any) -> Row:
    """A class activation map at every layer of every network."""
    made = cam(name, **options)
    return Row(ours=ours, peer=PEER, call=called(name, options), theirs=made, why=why, fit=fit, where="each")


def dear(**fields: Any) -> Row:
    """A comparison that costs a pass a channel: few photographs, at a layer of few channels."""
    return Row(peer=PEER, photographs=FEW, where="early", **fields)


ROWS = [
    simple("grad-cam(layer=LAYER)", "GradCAM"),
    Row(
        ours="grad-cam(layer=LAYER)",
        peer=PEER,
        call="GradCAM, shown",
        theirs=displayed("GradCAM"),
        fit=as_shown,
        why=DISPLAY,
        where="each",
    ),
    Row(
        ours="grad-cam-plus-plus(layer=LAYER)",
        peer=PEER,
        call="GradCAMPlusPlus",
        theirs=cam("GradCAMPlusPlus"),
        tolerance=None,
        why=EPSILON,
        where="each",
    ),
    Row(
        ours="grad-cam-plus-plus(layer=LAYER)",
        peer=PEER,
        call="GradCAMPlusPlus, logit × 1000",
        theirs=cam("GradCAMPlusPlus", target=thousandfold),
        make=plus_plus_of_thousandfold,
        why="of the logit times 1000 in both, beside which grad-cam's 10⁻⁶ is nothing",
        networks=RESNETS,
        where="each",
    ),
    simple("hires-cam(layer=LAYER, relu=true)", "HiResCAM"),
    simple("grad-cam-element-wise(layer=LAYER)", "GradCAMElementWise"),
    simple("xgrad-cam(layer=LAYER)", "XGradCAM"),
    simple("layer-cam(layer=LAYER)", "LayerCAM"),
    simple("eigen-cam(layer=LAYER, centred=true)", "EigenCAM", SIGN, either_sign),
    simple("eigen-grad-cam(layer=LAYER, centred=true)", "EigenGradCAM", SIGN, either_sign),
    simple("seg-eigen-cam(layer=LAYER)", "SegEigenCAM", RELU, positive),
    simple("kpca-cam(layer=LAYER)", "KPCA_CAM", SIGN, either_sign),
    simple("fem(layer=LAYER)", "FEM", RELU, positive),
    simple("shapley-cam(layer=LAYER)", "ShapleyCAM", target=ClassifierOutputReST),
    Row(
        ours="finer-cam(of=grad-cam(layer=LAYER), strength=1, weights=likely)",
        peer=PEER,
        call="FinerCAM",
        theirs=finer,
        tolerance=None,
        why=THROUGH,
        where="each",
    ),
    Row(
        ours="fused-cam(of=grad-cam, layers=(layer3, layer4), join=mean, gamma=0)",
        peer=PEER,
        call="GradCAM([layer3, layer4])",
        theirs=displayed("GradCAM", "layer3", "layer4"),
        fit=as_shown,
        tolerance=None,
        why=JOINED,
        networks=RESNETS,
    ),
    Row(
        ours="refine-cam(of=grad-cam, layers=(layer3, layer4))",
        peer=PEER,
        call="RefineCAM([layer3, layer4], base_method=GradCAM)",
        theirs=displayed("RefineCAM", "layer3", "layer4", base_method=pgc.GradCAM),
        fit=as_shown,
        tolerance=None,
        why=REFINED,
        networks=RESNETS,
    ),
    dear(ours="ablation-cam(layer=LAYER)", call="AblationCAM", theirs=ablation, networks=RESNETS),
    dear(
        ours="ablation-cam(layer=LAYER)",
        call="AblationCAM",
        theirs=ablation,
        tolerance=None,
        why=HUGE,
        networks=TRANSFORMERS,
    ),
    dear(ours="score-cam(layer=LAYER)", call="ScoreCAM", theirs=cam("ScoreCAM"), tolerance=None, why=CORNERS),
    dear(ours="score-cam(layer=LAYER)", call="ScoreCAM, cell on cell", theirs=score_on_cells, why=CELLS),
    Row(
        ours="guided-backpropagation",
        peer=PEER,
        call="GuidedBackpropReLUModel",
        theirs=guided,
        networks=RESNETS,
    ),
    Row(
        ours="full-grad",
        peer=PEER,
        call="FullGrad",
        theirs=full_grad,
        fit=as_shown,
        tolerance=None,
        why=CHANNELS,
        networks=RESNETS,
        photographs=FEW,
    ),
]
