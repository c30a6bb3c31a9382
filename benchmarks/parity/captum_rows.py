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
    shapley_sampling,
    shapley_values,
)
from parity.injected import with_own_relus, without_max_pooling
from parity.rows import FEW, KINKS, RESNETS, Row

GRID = "regions=grid(rows=4, columns=4), fill=mean"
SHARED_RELUS = (
    "torchvision's blocks share one ReLU, which captum's hooks misread: it is given a twin with its own ReLUs"
)
SHIFTED = "captum's riemann_trapezoid halves the weights of both ends and divides by n: it is (n − 1)/n of the integral"
OVERLAP = (
    "where windows of a max-pooling overlap, captum keeps one contribution a place, and its map does not add up to "
    "the difference of scores; ours does"
)


def smoothed(ours: str, kind: str, why: str = "") -> Row:
    """One of the three noise wrappers."""
    spec = f"{ours}(samples=8, seed=3)"
    said = f"the same noise in both (captum's own is absolute, ours a part of the picture's range){why}"
    return Row(
        ours=spec,
        peer="captum",
        call=f"NoiseTunnel({kind})",
        theirs=noise_tunnel(kind, spec),
        why=said,
        photographs=FEW,
    )


ROWS = [
    Row(ours="gradient", peer="captum", call="Saliency(abs=False)", theirs=attribute("Saliency", abs=False)),
    Row(
        ours="gradient",
        peer="captum",
        call="Saliency",
        theirs=attribute("Saliency"),
        tolerance=None,
        why="captum takes magnitudes unless told otherwise; ours keeps the sign",
    ),
    Row(ours="input-times-gradient", peer="captum", call="InputXGradient", theirs=attribute("InputXGradient")),
    Row(
        ours="integrated-gradients(steps=16, baseline=mean)",
        peer="captum",
        call="IntegratedGradients(n_steps=16)",
        theirs=attribute("IntegratedGradients", n_steps=16, internal_batch_size=8),
        photographs=FEW,
    ),
    Row(
        ours="integrated-gradients(steps=16, baseline=mean, rule=midpoint)",
        peer="captum",
        call="IntegratedGradients(n_steps=16, method=riemann_middle)",
        theirs=attribute("IntegratedGradients", n_steps=16, method="riemann_middle", internal_batch_size=8),
        photographs=FEW,
    ),
    Row(
        ours="integrated-gradients(steps=16, baseline=mean)",
        peer="captum",
        call="IntegratedGradients(n_steps=16, method=riemann_trapezoid)",
        theirs=attribute("IntegratedGradients", n_steps=16, method="riemann_trapezoid", internal_batch_size=8),
        photographs=FEW,
        tolerance=None,
        why=SHIFTED,
    ),
    Row(
        ours=EXPECTED,
        peer="captum",
        call="GradientShap",
        theirs=gradient_shap,
        why=f"the same draws in both, {KINKS}",
        double=True,
        photographs=FEW,
    ),
    smoothed("smooth-grad", "smoothgrad"),
    smoothed("smooth-grad-squared", "smoothgrad_sq"),
    smoothed("var-grad", "vargrad"),
    *[
        Row(
            ours=ours,
            peer="captum",
            call=name,
            theirs=attribute(name, of=with_own_relus),
            why=SHARED_RELUS,
            networks=RESNETS,
        )
        for ours, name in (("guided-backpropagation", "GuidedBackprop"), ("deconvnet", "Deconvolution"))
    ],
    Row(
        ours="guided-grad-cam(by=grad-cam(layer=LAYER))",
        peer="captum",
        call="GuidedGradCam(interpolate_mode=bilinear)",
        theirs=guided_grad_cam,
        why=SHARED_RELUS,
        networks=RESNETS,
        where="each",
    ),
    Row(
        ours="deep-lift(baseline=mean)",
        peer="captum",
        call="DeepLift",
        theirs=attribute("DeepLift", of=lambda network: with_own_relus(without_max_pooling(network))),
        make=averaged_deep_lift,
        why="on the network with its max-pooling replaced by averaging; a twin with its own ReLUs for captum",
        networks=RESNETS,
    ),
    Row(
        ours="deep-lift(baseline=mean)",
        peer="captum",
        call="DeepLift, max-pooling kept",
        theirs=attribute("DeepLift", of=with_own_relus),
        tolerance=None,
        why=OVERLAP,
        networks=RESNETS,
    ),
    Row(
        ours="occlusion(window=64, stride=40, fill=mean, score=logit)",
        peer="captum",
        call="Occlusion(64, strides=40)",
        theirs=one_channel(
            torch.no_grad()(
                attribute("Occlusion", sliding_window_shapes=(3, 64, 64), strides=(3, 40, 40), perturbations_per_eval=8)
            )
        ),
        why="the same sliding windows, the last of a row cut off at the border in both",
        photographs=FEW,
    ),
    Row(
        ours=f"feature-ablation({GRID})",
        peer="captum",
        call="FeatureAblation",
        theirs=feature_ablation,
        photographs=FEW,
    ),
    Row(
        ours=f"shapley-sampling({GRID}, samples=2, seed=3)",
        peer="captum",
        call="ShapleyValueSampling",
        theirs=shapley_sampling,
        why="the same permutations in both",
        photographs=FEW,
    ),
    Row(
        ours="kernel-shap(regions=grid(rows=2, columns=2), fill=mean, samples=14)",
        peer="captum",
        call="ShapleyValues",
        theirs=shapley_values,
        why="both exact: all coalitions here, all permutations there",
        photographs=FEW,
    ),
    Row(
        ours=f"lime({GRID}, samples=40, seed=2, distance=pixels, width=1, surrogate=lasso, penalty=0.01, score=given)",
        peer="captum",
        call="Lime(alpha=0.01)",
        theirs=lime,
        why="captum's definition and the same samples in both",
        photographs=FEW,
    ),
    Row(
        ours="grad-cam(layer=LAYER, relu=false)",
        peer="captum",
        call="LayerGradCam",
        theirs=layer_grad_cam,
        networks=RESNETS,
        where="each",
        why="captum keeps negative parts unless told otherwise: ours is asked to keep them",
    ),
]
