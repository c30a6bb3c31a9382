"""What Captum is asked, with what it draws at random replaced by what we draw; `captum_rows.py` says beside what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule, PropagationRule
from torch import nn

from parity.injected import noise_of, replaced, with_merged_normalisation, with_own_relus, without_max_pooling
from parity.rows import Case, Make, quietly
from sightline.attribution.gradient.expected_gradients import Draws, ExpectedGradients
from sightline.attribution.table import METHODS
from sightline.images.segments import Grid
from sightline.models.classifier import wrap
from sightline.passes.passes import Passes

GAMES = Grid(rows=4, columns=4)
EXPECTED = "expected-gradients(samples=4, noise=0.1, seed=4)"


def attribute(name: str, *, of: Callable[[nn.Module], nn.Module] = lambda network: network, **options: Any) -> Make:
    """A captum method asked about the case's class; `of` makes the network that it is given."""

    def theirs(case: Case) -> torch.Tensor:
        method = getattr(captum.attr, name)(of(case.network))
        found: torch.Tensor = quietly(
            method.attribute, case.pixels.clone().requires_grad_(), target=case.target, **options
        )
        return found[0]

    return theirs


def one_channel(make: Make) -> Make:
    """The first of channels that are all alike."""
    return lambda case: make(case)[0]


def noise_tunnel(kind: str, spec: str) -> Make:
    """NoiseTunnel over signed gradients, with our noise."""

    def theirs(case: Case) -> torch.Tensor:
        noise = noise_of(spec, case.pixels)
        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(case.network))
        with replaced((torch, "normal", lambda *_given: noise)):
            found: torch.Tensor = tunnel.attribute(
                case.pixels, nt_type=kind, nt_samples=len(noise), target=case.target, abs=False
            )
        return found[0]

    return theirs


def gradient_shap(case: Case) -> torch.Tensor:
    """GradientShap with our baselines, noise and points."""
    method = METHODS.make(EXPECTED)
    assert isinstance(method, ExpectedGradients)
    draws = Draws(method, case.classifier.values)
    starts, ends, points = zip(*(draws.ends(case.pixels, draw) for draw in range(method.samples)), strict=True)
    with replaced(
        (np.random, "uniform", lambda *_given: np.array(points)),
        (np.random, "choice", lambda count, *_given: np.arange(count)),
        (torch, "normal", lambda *_given: torch.cat(ends) - case.pixels),
    ):
        found: torch.Tensor = captum.attr.GradientShap(case.network).attribute(
            case.pixels, baselines=torch.cat(starts), n_samples=method.samples, stdevs=0.1, target=case.target
        )
    return found[0]


def regions(case: Case, cut: Grid = GAMES) -> torch.Tensor:
    """The regions, as captum wants them: `1 1 h w`."""
    return cut.make(case.pixels, case.classifier.values)[:, None]


@torch.no_grad()
def feature_ablation(case: Case) -> torch.Tensor:
    """FeatureAblation with zeros, the mean colour."""
    method = captum.attr.FeatureAblation(case.network)
    found: torch.Tensor = method.attribute(case.pixels, target=case.target, feature_mask=regions(case))
    return found[0, 0]


@torch.no_grad()
def shapley_sampling(case: Case) -> torch.Tensor:
    """ShapleyValueSampling with our permutations."""
    generator = torch.Generator().manual_seed(3)
    orders = [torch.randperm(16, generator=generator).tolist() for _ in range(2)]
    sampler = captum.attr.ShapleyValueSampling(case.network)
    sampler.permutation_generator = lambda *_given: iter(orders)
    found: torch.Tensor = sampler.attribute(
        case.pixels, target=case.target, n_samples=2, feature_mask=regions(case), perturbations_per_eval=16
    )
    return found[0, 0]


@torch.no_grad()
def shapley_values(case: Case) -> torch.Tensor:
    """ShapleyValues: all permutations of few regions."""
    found: torch.Tensor = captum.attr.ShapleyValues(case.network).attribute(
        case.pixels, target=case.target, feature_mask=regions(case, Grid(rows=2, columns=2)), perturbations_per_eval=24
    )
    return found[0, 0]


@torch.no_grad()
def lime(case: Case) -> torch.Tensor:
    """Lime with our samples."""
    shown = (torch.rand(40, 16, generator=torch.Generator().manual_seed(2)) < 0.5).float()
    shown[0] = 1
    rows = iter(shown.split(1))
    method = captum.attr.Lime(case.network, interpretable_model=SkLearnLasso(alpha=0.01, tol=1e-8, max_iter=100_000))
    method.perturb_func = lambda *_args, **_options: next(rows)
    found: torch.Tensor = method.attribute(
        case.pixels, target=case.target, n_samples=40, feature_mask=regions(case), perturbations_per_eval=8
    )
    return found[0, 0]


def layer_grad_cam(case: Case) -> torch.Tensor:
    """LayerGradCam as it is by default, without ReLU; a transformer's tokens it cannot lay on a grid."""
    found: torch.Tensor = captum.attr.LayerGradCam(case.network, case.module).attribute(case.pixels, target=case.target)
    return found[0, 0]


def guided_grad_cam(case: Case) -> torch.Tensor:
    """GuidedGradCam, enlarged bilinearly."""
    twin = with_own_relus(case.network)
    method = captum.attr.GuidedGradCam(twin, twin.get_submodule(case.layer))
    found: torch.Tensor = quietly(
        method.attribute, case.pixels.clone().requires_grad_(), target=case.target, interpolate_mode="bilinear"
    )
    return found[0]


def averaged_deep_lift(case: Case) -> torch.Tensor:
    """Our DeepLIFT on the network that averages where it took the largest."""
    classifier = wrap(without_max_pooling(case.network), preparation=case.classifier.preparation)
    method = METHODS.make("deep-lift(baseline=mean)")
    return method(Passes(classifier), case.pixels, case.target).values[0]


class Added(nn.Module):
    """A block of a torchvision ResNet whose skip is added by a module, as captum's relevance needs it."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        names = ("conv1", "conv2", "conv3") if hasattr(block, "conv3") else ("conv1", "conv2")
        self.layers = nn.ModuleList(getattr(block, name) for name in names)
        self.relus = nn.ModuleList(nn.ReLU() for _ in names)
        self.downsample = None if block.downsample is None else block.downsample[0]
        self.add = Addition_Module()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        for layer, relu in zip(self.layers[:-1], self.relus, strict=False):
            x = relu(layer(x))
        answer: torch.Tensor = self.relus[-1](self.add(self.layers[-1](x), skip))
        return answer


def relevance(case: Case) -> torch.Tensor:
    """LRP with ε in root mean squares of what it is added to, and as large as ours, in place of 10⁻⁹."""

    def hook(rule: EpsilonRule, outputs: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        added = rule.STABILITY_FACTOR * outputs.square().mean().sqrt() * torch.where(outputs < 0, -1.0, 1.0)

        def divided(relevance: torch.Tensor) -> torch.Tensor:
            rule.relevance_output[relevance.device] = relevance.data
            return relevance / (outputs + added)

        return divided

    with replaced((PropagationRule, "_create_backward_hook_output", hook)):
        return attribute("LRP", of=with_added_skips)(case)


def with_added_skips(network: nn.Module) -> nn.Module:
    """A copy of a torchvision ResNet, its normalisations merged, for captum's LRP."""
    twin: Any = with_merged_normalisation(network)
    twin.relu, twin.bn1 = nn.ReLU(), nn.Dropout(0)  # captum has no rule for what hands everything on as it is
    for name in ("layer1", "layer2", "layer3", "layer4"):
        setattr(twin, name, nn.Sequential(*(Added(block) for block in getattr(twin, name))))
    for module in twin.modules():
        if type(module) in OWN_EPSILON:
            module.rule = EpsilonRule(epsilon=OWN_EPSILON[type(module)])
    return twin


OWN_EPSILON = {
    **dict.fromkeys((nn.Conv2d, nn.Linear), 1e-6),
    **dict.fromkeys((nn.AdaptiveAvgPool2d, Addition_Module), 1e-12),
    **dict.fromkeys((nn.MaxPool2d, nn.Dropout), 1e-30),
}
"""Ours in layers; in means and sums in float64; and where ours hands on what it gets: captum divides there, too."""
