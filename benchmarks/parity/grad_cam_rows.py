"""pytorch-grad-cam (the package `grad-cam`): class activation maps before they are stretched and enlarged for display.

It stretches every map to 0…1 on the layer's cells, enlarges it, and stretches it again; all but the rows that say so
are compared before that, and after its ReLU, which cannot be switched off.
"""

from __future__ import annotations

from typing import Any

import pytorch_grad_cam as pgc
from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST

from parity.grad_cam_asks import (
    ablation,
    as_shown,
    cam,
    displayed,
    finer,
    full_grad,
    guided,
    plus_plus_of_thousandfold,
    rebuilt,
    rebuilt_by_ours,
    score_on_cells,
    thousandfold,
)
from parity.rows import LARGE, RESNETS, TRANSFORMERS, Fit, Make, Row, called, either_sign, positive, rows_of

row = rows_of("grad-cam")
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
ENDS = (
    "each from a start of its own, and a factorisation has many local ends: what is compared is the layer rebuilt from "
    "five concepts, all minima taken off in both"
)


def simple(ours: str, name: str, why: str = "", fit: Fit | None = None, **options: Any) -> Row:
    """A class activation map at every layer of every network."""
    made = cam(name, **options)
    return row(ours, called(name, options), made, why=why, fit=fit, where="each")


def dear(ours: str, call: str, theirs: Make, why: str = "", **fields: Any) -> Row:
    """A comparison that costs a pass a channel: at a layer of few."""
    return row(ours, call, theirs, why, dear=LARGE, where="early", **fields)


ROWS = [
    simple("grad-cam(layer=LAYER)", "GradCAM"),
    row("grad-cam(layer=LAYER)", "GradCAM, shown", displayed("GradCAM"), fit=as_shown, why=DISPLAY, where="each"),
    row(
        "grad-cam-plus-plus(layer=LAYER)",
        "GradCAMPlusPlus",
        cam("GradCAMPlusPlus"),
        tolerance=None,
        why=EPSILON,
        where="each",
    ),
    row(
        "grad-cam-plus-plus(layer=LAYER)",
        "GradCAMPlusPlus, logit × 1000",
        cam("GradCAMPlusPlus", target=thousandfold),
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
    row(
        "shapley-cam(layer=LAYER)",
        "ShapleyCAM(target=ClassifierOutputReST)",
        cam("ShapleyCAM", target=ClassifierOutputReST),
        "grad-cam's does not know how to lay tokens on a grid",
        networks=RESNETS,
        where="each",
    ),
    row(
        "finer-cam(of=grad-cam(layer=LAYER), strength=1, weights=likely)",
        "FinerCAM",
        finer,
        tolerance=None,
        why=THROUGH,
        where="each",
    ),
    row(
        "fused-cam(of=grad-cam, layers=(layer3, layer4), join=mean, gamma=0)",
        "GradCAM([layer3, layer4])",
        displayed("GradCAM", "layer3", "layer4"),
        fit=as_shown,
        tolerance=None,
        why=JOINED,
        networks=RESNETS,
    ),
    row(
        "refine-cam(of=grad-cam, layers=(layer3, layer4))",
        "RefineCAM([layer3, layer4], base_method=GradCAM)",
        displayed("RefineCAM", "layer3", "layer4", base_method=pgc.GradCAM),
        fit=as_shown,
        tolerance=None,
        why=REFINED,
        networks=RESNETS,
    ),
    dear("ablation-cam(layer=LAYER)", "AblationCAM", ablation, networks=RESNETS),
    dear("ablation-cam(layer=LAYER)", "AblationCAM", ablation, tolerance=None, why=HUGE, networks=TRANSFORMERS),
    dear("score-cam(layer=LAYER)", "ScoreCAM", cam("ScoreCAM"), tolerance=None, why=CORNERS),
    dear("score-cam(layer=LAYER)", "ScoreCAM, cell on cell", score_on_cells, why=CELLS),
    row("guided-backpropagation", "GuidedBackpropReLUModel", guided, networks=RESNETS),
    row("full-grad", "FullGrad", full_grad, fit=as_shown, tolerance=None, why=CHANNELS, networks=RESNETS),
    row(
        "deep-feature-factorisation(layer=LAYER, shift=always)",
        "DeepFeatureFactorization(n_components=5)",
        rebuilt,
        make=rebuilt_by_ours,
        tolerance=None,
        why=ENDS,
    ),
]
