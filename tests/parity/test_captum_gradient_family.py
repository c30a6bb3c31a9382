"""Where definitions of the gradient family coincide, maps equal Captum's: the largest relative difference is 1e-4."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sightline.attribution.base import Method
from sightline.attribution.gradient.expected_gradients import Draws, ExpectedGradients
from sightline.images.values import ValueRange
from sightline.runs.explain import explain
from small import close, picture, pooled, smooth

captum = pytest.importorskip("captum.attr")

AGREED = 1e-4


def channels_of(network: nn.Module, pixels: torch.Tensor, method: str | Method) -> torch.Tensor:
    found = explain(network, pixels, method, target=1)  # type: ignore[arg-type]
    return torch.from_numpy(found.channels)  # type: ignore[union-attr]


@pytest.mark.parametrize("build", [smooth, pooled])
def test_input_times_gradient(build: object) -> None:
    network, x = build(), picture(9, 12) - 0.3  # type: ignore[operator]
    expected = captum.InputXGradient(network).attribute(x.clone().requires_grad_(), target=1)
    assert close(channels_of(network, x, "input-times-gradient"), expected[0].detach(), AGREED)


@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_gradient_shap_with_the_same_draws(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = smooth(), picture(9, 12)
    method = ExpectedGradients(samples=6, noise=noise, seed=4)
    draws = Draws(method, ValueRange.unit())
    starts, ends, points = zip(*(draws.ends(x, draw) for draw in range(6)), strict=True)
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: np.array(points))
    monkeypatch.setattr(np.random, "choice", lambda count, size: np.arange(count))
    monkeypatch.setattr(torch, "normal", lambda mean, std: torch.cat(ends) - x)
    expected, error = captum.GradientShap(network).attribute(
        x, baselines=torch.cat(starts), n_samples=6, stdevs=noise, target=1, return_convergence_delta=True
    )
    monkeypatch.undo()
    assert close(channels_of(network, x, method), expected[0].float().detach(), AGREED)
    found = explain(network, x, method, target=1)
    assert found.completeness_error == pytest.approx(float(error.mean()), abs=1e-5)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("smooth-grad", "smoothgrad"), ("smooth-grad-squared", "smoothgrad_sq"), ("var-grad", "vargrad")],
)
@pytest.mark.parametrize("of", ["gradient", "input-times-gradient"])
def test_noise_tunnel_with_the_same_noise(ours: str, theirs: str, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = smooth(), picture(9, 12)
    generator, sigma = torch.Generator().manual_seed(3), 0.15 * (x.max() - x.min())
    noise = torch.cat([sigma * torch.randn(x.shape, generator=generator) for _ in range(6)])
    monkeypatch.setattr(torch, "normal", lambda mean, std: noise)
    inner = captum.Saliency(network) if of == "gradient" else captum.InputXGradient(network)
    extra = {"abs": False} if of == "gradient" else {}
    expected = captum.NoiseTunnel(inner).attribute(x, nt_type=theirs, nt_samples=6, target=1, **extra)
    monkeypatch.undo()
    assert close(channels_of(network, x, f"{ours}(of={of}, samples=6, seed=3)"), expected[0].detach(), AGREED)
