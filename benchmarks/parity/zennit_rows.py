"""zennit: gradients, the averages over them, and the rules that change how they pass a network."""

from __future__ import annotations

from typing import Any

import torch
from zennit import attribution, composites
from zennit.core import Stabilizer
from zennit.layer import Sum
from zennit.rules import Norm
from zennit.torchvision import ResNetCanonizer
from zennit.types import AvgPool

from parity.injected import normal, replaced, with_merged_normalisation, with_own_relus
from parity.rows import RESNETS, Case, Make, Row, rows_of

row = rows_of("zennit")
CLEAN = "zennit's last copy is the picture itself without noise, which is added to ours here; the same noise in both"
RIGHT = "zennit takes the right ends of n steps, Σ over i/n; ours Gauss and Legendre's points"
RELUS = "torchvision's blocks share one ReLU that works in place: zennit is given a twin with ReLUs of their own"
MERGED = (
    "zennit's merging leaves ε where the normalisation was, so that each layer is 1 + ε/2 too small: it is given a "
    "network merged by torch; our ε in both, in root mean squares (norm_scale), in float64, since "
    "what is lost to rounding grows where branches of both signs meet"
)
SMALL, LEAST = (Stabilizer(epsilon=epsilon, norm_scale=True) for epsilon in (1e-6, 1e-12))
"""Ours: in layers, and in sums and means in float64."""
SMOOTH = "smooth-grad(samples=7, spread=0.1, seed=3)"


def one_hot(case: Case) -> torch.Tensor:
    """The case's class alone, as zennit's attribution of the output, `1 k`."""
    return torch.eye(case.network(case.pixels).shape[1]).to(case.pixels)[[case.target]]


def attributed(name: str, composite: str | None = None, **options: Any) -> Make:
    """One of zennit's attributors, with a composite of rules or without."""

    def theirs(case: Case) -> torch.Tensor:
        network = with_own_relus(case.network) if composite else case.network
        rules = getattr(composites, composite)() if composite else None
        with getattr(attribution, name)(network, rules, one_hot(case), **options) as attributor:
            found: torch.Tensor = attributor(case.pixels.clone())[1]
        return found[0].detach()

    return theirs


def smooth(case: Case) -> torch.Tensor:
    """SmoothGrad with our noise in all copies but its last, which has none."""
    noise = iter(normal(7, case.pixels, seed=3))
    with replaced((torch, "randn_like", lambda _like: next(noise)[None])):
        return attributed("SmoothGrad", noise_level=0.1, n_iter=8)(case)


def smooth_and_clean(case: Case) -> torch.Tensor:
    """The mean over our seven noisy copies and the picture itself."""
    return (7 * case.ours(SMOOTH) + case.ours("gradient")) / 8


def relevance(composite: str) -> Make:
    """Relevance propagation by one of zennit's composites, begun with the class's score."""

    def theirs(case: Case) -> torch.Tensor:
        low, high, _ = case.classifier.values.like(case.pixels)
        box = {"low": low, "high": high} if composite == "EpsilonGammaBox" else {}
        canonizers = [ResNetCanonizer()] if case.subject in RESNETS else []
        steps = [(Sum, Norm(stabilizer=LEAST)), (AvgPool, Norm(stabilizer=LEAST))]
        rules = getattr(composites, composite)(
            epsilon=SMALL, stabilizer=SMALL, layer_map=steps, canonizers=canonizers, **box
        )
        hot, network = one_hot(case), with_merged_normalisation(case.network)
        with attribution.Gradient(network, rules, lambda scores: hot * scores) as attributor:
            found: torch.Tensor = attributor(case.pixels.clone())[1]
        return found[0].detach()

    return theirs


def propagated(ours: str, composite: str) -> Row:
    """A composite of ours beside zennit's of the same name."""
    call = f"Gradient(composite={composite})"
    return row(f"lrp(composite={ours})", call, relevance(composite), MERGED, networks=RESNETS, double=True)


def under(ours: str, composite: str) -> Row:
    """A method that is a composite of rules in zennit."""
    return row(ours, f"Gradient(composite={composite})", attributed("Gradient", composite), why=RELUS, networks=RESNETS)


ROWS = [
    row("gradient", "Gradient", attributed("Gradient")),
    row(SMOOTH, "SmoothGrad(n_iter=8)", smooth, make=smooth_and_clean, why=CLEAN),
    row(
        "integrated-gradients(steps=16, baseline=mean)",
        "IntegratedGradients(n_iter=16)",
        attributed("IntegratedGradients", n_iter=16),
        tolerance=None,
        why=RIGHT,
    ),
    under("guided-backpropagation", "GuidedBackprop"),
    under("deconvnet", "DeconvNet"),
    propagated("epsilon-plus", "EpsilonPlus"),
    propagated("epsilon-plus-flat", "EpsilonPlusFlat"),
    propagated("epsilon-gamma-box", "EpsilonGammaBox"),
    propagated("epsilon-alpha2-beta1", "EpsilonAlpha2Beta1"),
    propagated("epsilon-alpha2-beta1-flat", "EpsilonAlpha2Beta1Flat"),
]
