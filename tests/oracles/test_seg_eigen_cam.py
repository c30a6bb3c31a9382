"""Seg-Eigen-CAM against numpy's singular vectors and pytorch-grad-cam, and SS-CAM with a shaken picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.attribution.activation.channel_masks import ChannelMasks
from sightline.attribution.activation.ss_cam import Draws, ShakenPicture
from sightline.attribution.result import Attribution
from sightline.attribution.table import METHODS
from sightline.runs.explain import explain
from small import close, gradient_of, picture, pooled, smooth

SIZE = (8, 10)


def map_of(network: nn.Module, x: torch.Tensor, spec: str, target: int = 1) -> torch.Tensor:
    found = explain(network, x, spec, target=target)
    assert isinstance(found, Attribution)
    return torch.from_numpy(found.map)


def up(map: torch.Tensor) -> torch.Tensor:
    return nn.functional.interpolate(map[None, None], SIZE, mode="bilinear", align_corners=False)[0, 0].float()


def by_numpy(network: Any, x: torch.Tensor, target: int, place: int = 3) -> torch.Tensor:
    """At the output of a module of a chain, `h w`."""
    with torch.no_grad():
        activations = network[: place + 1](x)
    gradients = gradient_of(network[place + 1 :], activations, lambda scores: scores[:, target])
    rows = (gradients.abs() * activations)[0].flatten(1).T.double().numpy()
    rows = rows - rows.mean(0)
    laid = rows @ np.linalg.svd(rows, full_matrices=False)[2][0]
    laid = -laid if abs(laid.min()) > abs(laid.max()) else laid
    return torch.from_numpy(laid.reshape(activations.shape[2:]))


@pytest.mark.parametrize("target", [0, 1, 2])
def test_seg_eigen_cam_by_numpy(target: int) -> None:
    network, x = smooth(), picture(*SIZE)
    for place in (3, 1):
        found = map_of(network, x, f"seg-eigen-cam(layer='{place}')", target)
        assert close(found, up(by_numpy(network, x, target, place)), 1e-4)
    # The twin that forgets the size; before pooling and a linear layer it turns whole channels, which changes nothing.
    assert not close(found, map_of(network, x, "eigen-grad-cam(layer='1', centred=true)", target), 1e-2)


@pytest.mark.parametrize("target", [0, 2])
def test_seg_eigen_cam_beside_pytorch_grad_cam(target: int) -> None:
    library = pytest.importorskip("pytorch_grad_cam")
    outputs = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    network: Any = smooth()
    x = picture(*SIZE)
    cam = library.SegEigenCAM(network, [network[3]])
    low = np.maximum(cam.get_cam_image(x, network[3], None, *_seen(cam, x, outputs, target), False)[0], 0)
    ours = map_of(network, x, "seg-eigen-cam(layer='3')", target)
    expected = by_numpy(network, x, target)
    assert close(expected.clamp(min=0), torch.from_numpy(low).double(), 1e-4)
    assert close(ours, up(expected), 1e-4)


def _seen(cam: Any, x: torch.Tensor, outputs: Any, target: int) -> tuple[Any, Any]:
    """The activations and gradients that the library keeps."""
    scores = cam.activations_and_grads(x)
    cam.model.zero_grad()
    outputs.ClassifierOutputTarget(target)(scores[0]).backward()
    kept = cam.activations_and_grads
    return kept.activations[0].numpy(), kept.gradients[0].numpy()


@given(seed=st.integers(0, 1000), factor=st.floats(0.125, 64))
@settings(max_examples=10, deadline=None)
def test_seg_eigen_cam_scales_with_the_score_and_sums_to_nothing_on_its_grid(seed: int, factor: float) -> None:
    network, x = pooled(seed), picture(*SIZE, seed=seed)
    cells = METHODS.make("seg-eigen-cam")(network, x, 1).values
    assert float(cells.max()) >= -float(cells.min()) * (1 - 1e-6)
    assert abs(float(cells.sum())) <= 1e-4 * float(cells.abs().sum())
    before = map_of(network, x, "seg-eigen-cam")
    with torch.no_grad():
        network[-1].weight.mul_(factor)  # type: ignore[index]
        network[-1].bias.mul_(factor)  # type: ignore[index]
    assert close(map_of(network, x, "seg-eigen-cam"), before * factor, 1e-3)


# ---- SS-CAM's second form --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["logit", "probability"])
@torch.no_grad()
def test_ss_cam_with_a_shaken_picture(score: str) -> None:
    network: Any = smooth()
    x, samples, sigma, seed = picture(*SIZE), 3, 0.5, 4

    def read(pixels: torch.Tensor) -> float:
        scores = network(pixels)[0]
        return float(scores[1] if score == "logit" else scores.softmax(0)[1])

    activations, change = network[:3](x)[0], []
    for k, channel in enumerate(activations):
        mask = up(channel)
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        total = 0.0
        for sample in range(samples):
            generator = torch.Generator().manual_seed(seed * samples * 6 + sample * 6 + k)
            total += read((x + sigma * torch.randn(x.shape[1:], generator=generator)) * mask)
        change.append(total / samples - read(torch.zeros_like(x)))
    expected = torch.einsum("k,khw->hw", torch.tensor(change).softmax(0), activations).relu()
    spec = f"ss-cam(layer='2', samples={samples}, sigma={sigma}, seed={seed}, score={score}, shaken=picture)"
    found = explain(network, x, spec, target=1)
    assert isinstance(found, Attribution)
    assert close(torch.from_numpy(found.map), up(expected), 1e-4)
    assert found.passes.forward == 1 + samples * 6 + 1
    assert not close(torch.from_numpy(found.map), map_of(network, x, spec.replace("picture", "masks")), 1e-3)


def test_ss_cam_of_a_picture_that_is_not_shaken_is_score_cam() -> None:
    network, x = pooled(), picture(*SIZE)
    still = map_of(network, x, "ss-cam(samples=2, sigma=0, shaken=picture)")
    assert close(still, map_of(network, x, "score-cam"), 1e-5)


@given(start=st.integers(0, 11), stop=st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_shaken_pictures_are_the_same_however_they_are_asked_for(start: int, stop: int) -> None:
    x = picture(*SIZE, pictures=2)
    activations = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    versions = ShakenPicture(Draws(ChannelMasks(activations, SIZE), 4, 0.5, 7))
    whole = versions.make(x, slice(0, 12)).unflatten(0, (12, 2))
    if start < stop:
        assert torch.equal(versions.make(x, slice(start, stop)).unflatten(0, (-1, 2)), whole[start:stop])
