"""Guided Grad-CAM and Zeiler and Fergus' study against their definitions, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import sightline
from maps import result_of
from sightline.errors import NotSupportedError, UsageError
from sightline.models.classifier import wrap
from sightline.passes.passes import Passes
from sightline.pictures.axes import figure_bytes
from sightline.runs.explain import explain
from small import close, picture, seeded, smooth

LABELS = ("cat", "dog", "bird", "fish")


def deep(inplace: bool = False) -> nn.Sequential:
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(inplace),
        nn.Conv2d(6, 7, 3, stride=2, padding=1),
        nn.ReLU(inplace),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(7, 4),
    )
    seeded(network, 4)
    return network


def deconvolved(network: nn.Sequential, x: torch.Tensor, signal: torch.Tensor, guided: bool) -> torch.Tensor:
    """A signal at the last ReLU's output, back at the pixels."""
    for place in (2, 0):
        before = network[: place + 1](x)
        signal = signal.clamp(min=0) * ((before > 0) if guided else 1)
        stride = network[place].stride
        signal = functional.conv_transpose2d(
            signal, network[place].weight, stride=stride, padding=1, output_padding=stride[0] - 1
        )
    return signal.detach()


@pytest.mark.parametrize("layer", ["1", "3"])
def test_guided_grad_cam(layer: str) -> None:
    network, x = deep(), picture(8, 12)
    cells = network[: int(layer) + 1](x).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network[int(layer) + 1 :](cells)[0, 2], cells)
    coarse = (gradient.mean((2, 3), keepdim=True) * cells).sum(1, keepdim=True).relu().detach()
    wide = functional.interpolate(coarse, (8, 12), mode="bilinear", align_corners=False)
    top = (network[6].weight[2] / 24)[None, :, None, None].expand(1, 7, 4, 6)
    expected = deconvolved(network, x, top, guided=True) * wide
    result = result_of(deep(inplace=True), x, f"guided-grad-cam(by=grad-cam(layer={layer}))", target=2)
    assert result.channels is not None
    assert close(torch.from_numpy(result.channels), expected[0], 1e-5)
    assert result.layer == layer


def test_guided_grad_cam_is_captums() -> None:
    captum = pytest.importorskip("captum.attr")
    network, x = deep(), picture(8, 12)
    with pytest.warns(UserWarning, match="backward hooks"):
        expected = captum.GuidedGradCam(network, network[3]).attribute(x, target=1, interpolate_mode="bilinear")
    result = result_of(network, x, "guided-grad-cam", target=1, layer="3")
    assert result.channels is not None
    assert close(torch.from_numpy(result.channels), expected[0].detach(), 1e-4)


def test_any_two_methods_can_be_multiplied() -> None:
    x = picture(8, 12)
    one, other = (result_of(deep(), x, method, target=1).map for method in ("gradient", "layer-cam"))
    found = result_of(deep(), x, "guided-grad-cam(of=gradient, by=layer-cam)", target=1).map
    assert close(torch.from_numpy(found), torch.from_numpy(one * other), 1e-5)
    found = result_of(smooth(), x, "guided-grad-cam(of=gradient, by=occlusion(window=4, stride=4))", target=1).map
    assert np.isfinite(found).all()
    with pytest.raises(NotSupportedError, match="tanh"):
        explain(smooth(), x, "guided-grad-cam", target=1)


@pytest.mark.parametrize("inplace", [True, False])
@torch.no_grad()
def test_zeiler_fergus(inplace: bool) -> None:
    network, x = deep(), picture(8, 12)
    maps = network[:4](x)[0]
    strongest = int(maps.sum((1, 2)).argmax())
    one_hot = torch.zeros_like(maps).flatten()
    peak = strongest * maps[0].numel() + int(maps[strongest].argmax())
    one_hot[peak] = maps[strongest].max()
    expected = deconvolved(network, x, one_hot.view(1, *maps.shape), guided=False)
    result = result_of(deep(inplace), x, "zeiler-fergus(window=4, stride=4, layer=3)", target=1)
    arrays = result.arrays
    assert int(arrays["feature_map"]) == strongest
    assert close(torch.from_numpy(arrays["projection"]), expected[0], 1e-5)
    assert float(arrays["clean_activity"]) == pytest.approx(float(maps[strongest].sum()), rel=1e-5)
    for row in range(2):
        for column in range(3):
            hidden = x.clone()
            hidden[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0.5
            scores = network(hidden)[0]
            assert arrays["activity"][row, column] == pytest.approx(float(network[:4](hidden)[0, strongest].sum()))
            assert arrays["probabilities"][row, column] == pytest.approx(float(scores.softmax(0)[1]), rel=1e-4)
            assert arrays["labels"][row, column] == int(scores.argmax())
    occlusion = result_of(deep(), x, "occlusion(window=4, stride=4)", target=1)
    assert close(torch.from_numpy(result.map), torch.from_numpy(occlusion.map), 1e-6)
    assert (result.passes.forward, result.passes.backward) == (1 + 6 + 1, 1)


def test_feature_maps_are_explained_as_classes_are() -> None:
    network, x = deep(), picture(8, 12, pictures=3)
    with Passes(network) as passes:
        layer = passes.layer(x, "3", None).layer
        before = passes.count
        with passes.feature_maps(layer, "total") as units:
            scores = units.scores(x)
        assert (passes.count - before).forward == 3
    assert close(scores, network[:4](x).sum((2, 3)).detach(), 1e-6)


def test_the_figure() -> None:
    classifier = wrap(deep(), labels=LABELS)
    result = result_of(classifier, picture(8, 12), "zeiler-fergus(window=4, stride=4)", target="dog")
    drawn = sightline.figure(result, kind="zeiler-fergus")
    titles = [axis.get_title() for axis in drawn.axes if axis.get_title()]
    assert [title[:3] for title in titles] == ["(a)", "(b)", "(c)", "(d)", "(e)"]
    assert any(text.get_text() in LABELS for text in drawn.axes[4].texts)
    assert figure_bytes(drawn).startswith(b"\x89PNG")
    assert figure_bytes(drawn) == figure_bytes(sightline.figure(result, kind="zeiler-fergus"))
    with pytest.raises(UsageError, match="of the method zeiler-fergus"):
        sightline.figure(result_of(classifier, picture(8, 12), "gradient"), kind="zeiler-fergus")
