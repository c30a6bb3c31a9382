"""Xplique: what it answered in its own environment (`xplique_worker.py`), beside ours with the same draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from parity.rows import Case, Row, rows_of
from parity.xplique import answered
from sightline.images.segments import Grid

beside = rows_of("xplique")
COPIES = "(samples=8, seed=3)"
CELLS = 4
GRID = f"regions=grid(rows={CELLS}, columns={CELLS}), fill=mean"
RISE = "rise(samples=64, cells=7, seed=3, normalise=covered, score=given)"
SOBOL = f"sobol({GRID}, samples=4, seed=3)"
HSIC = f"hsic({GRID}, samples=63, seed=3, width=scores)"
WIDTH = 0.7
LIME = f"lime({GRID}, samples=40, seed=2, distance=pixels, width={WIDTH}, penalty=2, score=given)"
NOISE = "the same noise in both"
SAME = "the same masks in both"
ENDS = "Xplique's trapezoids over 16 points with both ends; ours Gauss and Legendre's points"
APART = "windows side by side: where they overlap, Xplique adds up what falls, ours takes the mean"
OWN = (
    "both draw for themselves: Xplique weighs all coalitions alike and does not hold the ends; ours is exact with all "
    "coalitions of 4 regions"
)
KERNEL = "the same samples and regions in both, and LIME's kernel given to Xplique"
NEGATIVE = (
    "Xplique's own kernel takes 1 − cosine_similarity of Keras, which is negative: its distance is 1 + cos, and "
    "pictures least like the original weigh most"
)
DESIGN = "the same design in both; before Xplique enlarges its grid smoothly, as ours keeps its regions"
TIMES = "the same design in both; Xplique divides by n, ours by n² as the paper, and keeps its regions"


def magnitude(ours: torch.Tensor, _theirs: torch.Tensor) -> torch.Tensor:
    """|ours|, since Xplique's Saliency takes magnitudes."""
    return ours.abs()


def times_samples(ours: torch.Tensor, _theirs: torch.Tensor) -> torch.Tensor:
    """Ours divided by n once instead of twice."""
    return ours * 63


def kept(name: str) -> Callable[[Case], torch.Tensor]:
    """What Xplique's method answered for the case."""
    return lambda case: answered(case.subject, case.photograph)[name]


def over_regions(name: str) -> Callable[[Case], torch.Tensor]:
    """What Xplique's method answered for each cell of the grid, at the cell's pixels."""

    def theirs(case: Case) -> torch.Tensor:
        regions = Grid(rows=CELLS, columns=CELLS).make(case.pixels, case.classifier.values)[0]
        return kept(name)(case).flatten()[regions]

    return theirs


def row(ours: str, call: str, name: str, why: str = "", **fields: Any) -> Row:
    """One of Xplique's methods at the pixels."""
    return beside(ours, call, kept(name), why, **fields)


ROWS = [
    row(
        "gradient",
        "Saliency(reducer=None)",
        "gradient",
        "Xplique takes magnitudes: so is done with ours",
        fit=magnitude,
    ),
    row("input-times-gradient", "GradientInput(reducer=None)", "input-times-gradient"),
    beside(
        "integrated-gradients(steps=16, baseline=mean)",
        "IntegratedGradients(steps=16, reducer=None)",
        kept("integrated-gradients"),
        tolerance=None,
        why=ENDS,
    ),
    row(f"smooth-grad{COPIES}", "SmoothGrad(nb_samples=8, reducer=None)", "smooth-grad", NOISE),
    row(f"smooth-grad-squared{COPIES}", "SquareGrad(nb_samples=8, reducer=None)", "square-grad", NOISE),
    row("var-grad(samples=8, seed=3, divisor=n-1)", "VarGrad(nb_samples=8, reducer=None)", "var-grad", NOISE),
    row(
        "occlusion(window=56, stride=56, fill=mean, score=logit)",
        "Occlusion(patch_size=56, patch_stride=56)",
        "occlusion",
        APART,
    ),
    row(RISE, "Rise(nb_samples=64)", "rise", SAME),
    row(LIME, "Lime(nb_samples=40, similarity_kernel=…)", "lime", KERNEL),
    beside(LIME, "Lime(nb_samples=40, distance_mode=cosine)", kept("lime-own-kernel"), tolerance=None, why=NEGATIVE),
    beside(
        "kernel-shap(regions=grid(rows=2, columns=2), fill=mean, samples=14)",
        "KernelShap(nb_samples=64)",
        kept("kernel-shap"),
        tolerance=None,
        why=OWN,
    ),
    beside(SOBOL, "SobolAttributionMethod(nb_design=4, grid_size=4)", over_regions("sobol"), why=DESIGN),
    beside(
        HSIC, "HsicAttributionMethod(nb_design=63, grid_size=4)", over_regions("hsic"), fit=times_samples, why=TIMES
    ),
]
