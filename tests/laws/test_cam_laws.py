"""Identities between class activation maps, for any small network that Hypothesis thinks of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maps import map_of
from small import close, picture, pooled, seeded

SIDES, SEEDS = st.integers(3, 9), st.integers(0, 10_000)
LAW = settings(max_examples=8, deadline=None, derandomize=True)


def flattened(height: int, width: int, seed: int) -> nn.Module:
    """Convolution, ReLU, and a linear layer over all cells: linear in the layer, with gradients that differ by cell."""
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * height * width, 3),
        ),
        seed,
    )


@LAW
@given(SIDES, SIDES, SEEDS, st.integers(0, 3))
def test_before_pooling_four_methods_are_one(height: int, width: int, seed: int, target: int) -> None:
    network, x = pooled(seed), picture(height, width, seed=seed)
    cam = map_of(network, x, "cam", layer="1", target=target)
    cells = network[:2](x)[0, 0].numel()
    for method in ("grad-cam(relu=false)", "hires-cam", "xgrad-cam(relu=false)"):
        assert close(map_of(network, x, method, layer="1", target=target) * cells, cam, 1e-4), method


@LAW
@given(SIDES, SIDES, SEEDS, st.integers(0, 2))
def test_behind_relu_layer_cam_is_element_wise(height: int, width: int, seed: int, target: int) -> None:
    network, x = flattened(height, width, seed), picture(height, width, seed=seed)
    one, other = (map_of(network, x, name, layer="1", target=target) for name in ("layer-cam", "grad-cam-element-wise"))
    assert close(one, other, 1e-5)


@LAW
@given(SIDES, SIDES, SEEDS, st.integers(0, 2))
def test_where_the_rest_is_linear_maps_sum_to_the_score_minus_the_bias(
    height: int, width: int, seed: int, target: int
) -> None:
    network, x = flattened(height, width, seed), picture(height, width, seed=seed)
    with torch.no_grad():
        expected = float(network(x)[0, target] - network[3].bias[target])
        scale = float((network[:2](x).flatten() * network[3].weight[target]).abs().sum())
    for method in ("hires-cam", "xgrad-cam(relu=false)"):
        total = float(map_of(network, x, method, layer="1", target=target).double().sum())
        assert total == pytest.approx(expected, abs=1e-5 * max(scale, 1e-6)), method
    grad_cam = float(map_of(network, x, "grad-cam(relu=false)", layer="1", target=target).double().sum())
    assert scale == 0 or grad_cam != pytest.approx(expected, abs=1e-6 * scale), "the identity tells methods apart"


@LAW
@given(SIDES, SIDES, SEEDS)
def test_eigen_maps_behind_relu_are_positive_and_hold_the_most_energy(height: int, width: int, seed: int) -> None:
    network, x = flattened(height, width, seed), picture(height, width, seed=seed)
    map = map_of(network, x, "eigen-cam", layer="1", target=0).double()
    assert float(map.min()) >= -1e-5 * float(map.max())
    with torch.no_grad():
        cells = network[:2](x)[0].flatten(1).T.double()
    assert float((map**2).sum()) == pytest.approx(float(torch.linalg.matrix_norm(cells, 2)) ** 2, rel=1e-4)


@LAW
@given(SIDES, SIDES, SEEDS)
def test_class_agnostic_maps_are_the_same_for_every_class(height: int, width: int, seed: int) -> None:
    network, x = flattened(height, width, seed), picture(height, width, seed=seed)
    for method in ("eigen-cam", "kpca-cam", "fem"):
        one, other = (map_of(network, x, method, layer="1", target=target) for target in (0, 2))
        assert torch.equal(one, other), method


@LAW
@given(SIDES, SIDES, SEEDS)
def test_a_linear_kernel_is_centred_eigen_cam_and_sums_to_zero(height: int, width: int, seed: int) -> None:
    network, x = flattened(height, width, seed), picture(height, width, seed=seed)
    kernel = map_of(network, x, "kpca-cam(kernel=linear)", layer="1", target=0)
    assert close(kernel, map_of(network, x, "eigen-cam(centred=true)", layer="1", target=0), 1e-4)
    assert abs(float(kernel.double().sum())) <= 1e-4 * float(kernel.abs().sum())


@LAW
@given(SIDES, SIDES, SEEDS, st.sampled_from(["grad-cam", "layer-cam", "hires-cam", "gradient", "cam"]))
def test_finer_cam_without_strength_is_the_class_and_with_one_rival_the_contrast(
    height: int, width: int, seed: int, of: str
) -> None:
    network, x = pooled(seed), picture(height, width, seed=seed)
    plain, contrast = map_of(network, x, of, target=1), map_of(network, x, of, target="1-vs-3")
    assert close(map_of(network, x, f"finer-cam(of={of}, strength=0)", target=1), plain, 1e-5)
    assert close(map_of(network, x, f"finer-cam(of={of}, strength=1)", target="1-vs-3"), contrast, 1e-5)
    scores = network(x)[0].detach()
    rival = min((c for c in range(4) if c != 1), key=lambda c: abs(float(scores[c] - scores[1])))
    found = map_of(network, x, f"finer-cam(of={of}, strength=1, classes=1)", target=1)
    assert close(found, map_of(network, x, of, target=f"1-vs-{rival}"), 1e-5)


@LAW
@given(SIDES, SIDES, SEEDS, st.sampled_from(["max", "mean"]))
def test_fused_maps_lie_between_zero_and_one_and_one_layer_is_its_own_scaled(
    height: int, width: int, seed: int, join: str
) -> None:
    network, x = flattened(height, width, seed), picture(height, width, seed=seed)
    for method in (f"fused-cam(layers=(0, 1), join={join})", "refine-cam(layers=(0, 1))"):
        both = map_of(network, x, method, target=1)
        assert float(both.min()) >= 0
        assert float(both.max()) <= 1 + 1e-6
    own = map_of(network, x, "layer-cam", layer="1", target=1)
    alone = map_of(network, x, f"fused-cam(layers=(1), gamma=0, join={join})", target=1)
    assert close(alone * own.max(), own, 1e-5)
