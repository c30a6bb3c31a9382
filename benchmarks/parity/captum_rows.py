"""Captum: gradients, rules, occlusion and coalitions."""

from __future__ import annotations

import torch

from parity.captum_asks import (
    EXPECTED,
    attribute,
    averaged_deep_lift,
    feature_ablation,
    gradient_shap,
    guided_grad_cam,
    layer_grad_cam,
    lime,
    noise_tunnel,
    one_channel,
    relevance,
    shapley_sampling,
    shapley_values,
)
from parity.injected import with_own_relus, without_max_pooling
from parity.rows import KINKS, RESNETS, Row, rows_of

row = rows_of("captum")
GRID = "regions=grid(rows=4, columns=4), fill=mean"
SHARED_RELUS = (
    "torchvision's blocks share one ReLU, which captum's hooks misread: it is given a twin with its own ReLUs"
)
SHIFTED = "captum's riemann_trapezoid halves the weights of both ends and divides by n: it is (n − 1)/n of the integral"
PARTS = (
    "the epsilon rule everywhere, captum's default, in float64, with our ε in both; captum is given a twin with its "
    "normalisations merged and its skips added by captum's module, since as it is skips are counted twice, and no ε in "
    "its max-pooling and dropout, which divide as layers do"
)
OVERLAP = (
    "where windows of a max-pooling overlap, captum keeps one contribution a place, and its map does not add up to "
    "the difference of scores; ours does"
)


def smoothed(ours: str, kind: str, why: str = "") -> Row:
    """One of the three noise wrappers."""
    spec = f"{ours}(samples=8, seed=3)"
    said = f"the same noise in both (captum's own is absolute, ours a part of the picture's range){why}"
    return row(spec, f"NoiseTunnel({kind})", noise_tunnel(kind, spec), why=said)


ROWS = [
    row("gradient", "Saliency(abs=False)", attribute("Saliency", abs=False)),
    row(
        "gradient",
        "Saliency",
        attribute("Saliency"),
        tolerance=None,
        why="captum takes magnitudes unless told otherwise; ours keeps the sign",
    ),
    row("input-times-gradient", "InputXGradient", attribute("InputXGradient")),
    row(
        "integrated-gradients(steps=16, baseline=mean)",
        "IntegratedGradients(n_steps=16)",
        attribute("IntegratedGradients", n_steps=16, internal_batch_size=8),
    ),
    row(
        "integrated-gradients(steps=16, baseline=mean, rule=midpoint)",
        "IntegratedGradients(n_steps=16, method=riemann_middle)",
        attribute("IntegratedGradients", n_steps=16, method="riemann_middle", internal_batch_size=8),
    ),
    row(
        "integrated-gradients(steps=16, baseline=mean)",
        "IntegratedGradients(n_steps=16, method=riemann_trapezoid)",
        attribute("IntegratedGradients", n_steps=16, method="riemann_trapezoid", internal_batch_size=8),
        tolerance=None,
        why=SHIFTED,
    ),
    row(EXPECTED, "GradientShap", gradient_shap, why=f"the same draws in both, {KINKS}", double=True),
    smoothed("smooth-grad", "smoothgrad"),
    smoothed("smooth-grad-squared", "smoothgrad_sq"),
    smoothed("var-grad", "vargrad"),
    *[
        row(ours, name, attribute(name, of=with_own_relus), why=SHARED_RELUS, networks=RESNETS)
        for ours, name in (("guided-backpropagation", "GuidedBackprop"), ("deconvnet", "Deconvolution"))
    ],
    row(
        "guided-grad-cam(by=grad-cam(layer=LAYER))",
        "GuidedGradCam(interpolate_mode=bilinear)",
        guided_grad_cam,
        why=SHARED_RELUS,
        networks=RESNETS,
        where="each",
    ),
    row(
        "deep-lift(baseline=mean)",
        "DeepLift",
        attribute("DeepLift", of=lambda network: with_own_relus(without_max_pooling(network))),
        make=averaged_deep_lift,
        why="on the network with its max-pooling replaced by averaging; a twin with its own ReLUs for captum",
        networks=RESNETS,
    ),
    row(
        "deep-lift(baseline=mean)",
        "DeepLift, max-pooling kept",
        attribute("DeepLift", of=with_own_relus),
        tolerance=None,
        why=OVERLAP,
        networks=RESNETS,
    ),
    row("lrp(composite=epsilon)", "LRP", relevance, PARTS, networks=RESNETS, double=True),
    row(
        "occlusion(window=64, stride=40, fill=mean, score=logit)",
        "Occlusion(64, strides=40)",
        one_channel(
            torch.no_grad()(
                attribute("Occlusion", sliding_window_shapes=(3, 64, 64), strides=(3, 40, 40), perturbations_per_eval=8)
            )
        ),
        why="the same sliding windows, the last of a row cut off at the border in both",
    ),
    row(f"feature-ablation({GRID})", "FeatureAblation", feature_ablation),
    row(
        f"shapley-sampling({GRID}, samples=2, seed=3)",
        "ShapleyValueSampling",
        shapley_sampling,
        why="the same permutations in both",
    ),
    row(
        "kernel-shap(regions=grid(rows=2, columns=2), fill=mean, samples=14)",
        "ShapleyValues",
        shapley_values,
        why="both exact: all coalitions here, all permutations there",
    ),
    row(
        f"lime({GRID}, samples=40, seed=2, distance=pixels, width=1, surrogate=lasso, penalty=0.01, score=given)",
        "Lime(alpha=0.01)",
        lime,
        why="captum's definition and the same samples in both",
    ),
    row(
        "grad-cam(layer=LAYER, relu=false)",
        "LayerGradCam",
        layer_grad_cam,
        networks=RESNETS,
        where="each",
        why="captum keeps negative parts unless told otherwise: ours is asked to keep them",
    ),
]
