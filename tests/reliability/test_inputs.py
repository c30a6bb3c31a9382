"""Rows S3, S8, M2, M10, N5, W1 and W7: networks and inputs that are not what they seem are refused, or it is said."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.attribution.table import METHODS
from sightline.errors import ModelError, NonFiniteError, NotSupportedError, UsageError
from sightline.models import weights
from sightline.models.weights import read_weights
from sightline.passes.passes import Passes
from sightline.testing.architectures import Plain
from sightline.testing.networks import seeded

PIXELS = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
METHODS_OF_EACH_KIND = ("gradient", "grad-cam", "occlusion(window=8, stride=8)")


class Dropping(Plain):
    """Dropout that `eval()` does not turn off."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.dropout(x, 0.3, training=True))


class Drawing(Plain):
    """Draws random numbers, and answers the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        return super().forward(x)


@pytest.mark.parametrize("method", METHODS_OF_EACH_KIND)
def test_s3_a_network_that_answers_by_chance_is_not_explained_in_silence(method: str) -> None:
    said = [any("random numbers" in one for one in sightline.explain(seeded(kind)(), PIXELS, method).warnings)
            for kind in (Plain, Drawing, Dropping)]  # fmt: skip
    assert said == [False, False, True]


class Sharded(Plain):
    """As torch calls what it shards over processes."""


Sharded.__name__ = "FullyShardedDataParallel"


class Lazy(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.LazyConv2d(4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (lambda: nn.Sequential(Sharded()), "sharded over processes"),
        (Lazy, r"0\.weight has no shape yet: call the network once"),
        (lambda: Plain().to("meta"), "has no values, it is on the meta device"),
    ],
)
def test_s8_weights_that_are_not_here_are_refused(network: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        sightline.wrap(network())


def test_a_lazy_network_that_has_run_is_explained() -> None:
    network = Lazy()
    network(PIXELS[None])
    assert sightline.explain(network, PIXELS, "gradient").map.shape == (16, 24)


def test_s8_a_device_without_float64_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    method = METHODS.make("gradient")

    def without(*_: object) -> Any:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")

    monkeypatch.setattr(type(method), "attribute", without)
    with pytest.raises(TypeError):  # elsewhere it is a defect, and stays one
        method(seeded(Plain)(), PIXELS[None], 0)
    monkeypatch.setattr(Passes, "device", torch.device("mps"))
    with pytest.raises(NotSupportedError, match=r"gradient needs float64, which mps does not have: give device='cpu'"):
        method(seeded(Plain)(), PIXELS[None], 0)


def test_complex_scores_are_refused() -> None:
    with pytest.raises(ModelError, match="complex numbers"):
        sightline.explain(lambda x: x.mean((2, 3)).to(torch.complex64), PIXELS, "occlusion(window=8, stride=8)")


@pytest.mark.parametrize(
    ("pixels", "warned"),
    [
        (lambda size: torch.rand(size) * 255, True),
        (lambda size: torch.rand(size) * 4 - 2, False),
        (lambda size: torch.randn(size).clamp(-3.5, 3.5), False),
        (lambda size: torch.rand(size) - 100, True),
    ],
)
def test_m10_prepared_input_far_from_the_networks_own_is_said(pixels: Any, warned: bool) -> None:
    given = pixels((3, 64, 64))
    result = sightline.explain("demo", given, "gradient")
    assert any("it was probably prepared for another network" in one for one in result.warnings) == warned


@pytest.mark.parametrize(
    ("line", "shape", "said"),
    [
        ("resize 64, crop 64, mean 127.5, std 127.5", (64, 64, 3), "hardly any picture: prepared so, black is -1"),
        ("resize 64, crop 64, 0-255, mean 127.5, std 127.5", (64, 64, 3), ""),
        ("resize 64, crop 64", (64, 64 * 8, 3), "sees only 12% of this picture"),
        ("resize 64, crop 64", (64, 64 * 2, 3), ""),
    ],
)
def test_what_the_network_hardly_sees_is_said(line: str, shape: tuple[int, ...], said: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    classifier = sightline.wrap(seeded(Plain)(), preparation=line)
    warnings = sightline.explain(classifier, image, "gradient", target=0).warnings
    found = [one for one in warnings if "hardly any picture" in one or "sees only" in one]
    assert len(found) == bool(said)
    assert all(said in one for one in found)


@pytest.mark.parametrize("kind", [">f4", ">f8", "<f8", ">f2", np.longdouble])
def test_prepared_arrays_of_any_width_and_byte_order_are_the_same_input(kind: Any) -> None:
    expected = sightline.explain(seeded(Plain)(), PIXELS, "gradient", target=0).map
    found = sightline.explain(seeded(Plain)(), PIXELS.numpy().astype(kind), "gradient", target=0).map
    assert np.abs(found - expected).max() <= 1e-2 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float8_e4m3fn, torch.bfloat16])
def test_prepared_tensors_of_any_width(dtype: torch.dtype) -> None:
    assert np.isfinite(sightline.explain(seeded(Plain)(), PIXELS.to(dtype), "gradient").map).all()


@pytest.mark.parametrize("pixels", [PIXELS.to_sparse(), PIXELS.to("meta")])
def test_tensors_that_hold_no_plain_values_are_refused(pixels: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="prepared input is an ordinary tensor"):
        sightline.explain(seeded(Plain)(), pixels, "gradient")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", METHODS_OF_EACH_KIND)
def test_n5_a_value_that_is_not_finite_in_the_input(method: str, value: float) -> None:
    broken = PIXELS.clone()
    broken[1, 3, 5] = value
    with pytest.raises(NonFiniteError, match="tensor 0"):
        sightline.explain(seeded(Plain)(), broken, method)


class Tied(nn.Module):
    """One convolution, ReLU and pooling called twice, or two of each with the same weights."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.first, self.relu, self.pool = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.second, self.again, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.linear = nn.Linear(3, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
            self.second.load_state_dict(self.first.state_dict())
        if tied:
            self.second, self.again, self.last = self.first, self.relu, self.pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.last(self.again(self.second(self.pool(self.relu(self.first(x))))))
        scores: torch.Tensor = self.linear(x.mean((2, 3)))
        return scores


@pytest.mark.parametrize(
    "method",
    ["gradient", "guided-backpropagation", "deconvnet", "deep-lift", "full-grad", "lrp",
     "lrp(composite=epsilon-alpha2-beta1)", "attn-lrp", "integrated-gradients(steps=4)",
     "occlusion(window=6, stride=5)"],
)  # fmt: skip
def test_m2_tied_weights_are_explained_as_untied_ones(method: str) -> None:
    def told(tied: bool) -> Any:
        try:
            return sightline.explain(Tied(tied), PIXELS, method, target=0).map
        except NotSupportedError as refused:
            return str(refused)

    one, other = told(True), told(False)
    if isinstance(one, str):
        assert "Tied" in one
        return
    assert np.abs(other).max() > 1e-6
    assert np.abs(one - other).max() <= 1e-6 * np.abs(other).max()


def safetensors(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def test_w7_a_header_of_more_tensors_than_any_network_has_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    file = tmp_path / "many.safetensors"
    file.write_bytes(safetensors({f"t{number}": entry for number in range(1001)}))
    assert len(read_weights(file)) == 1001 < weights.MOST_TENSORS
    monkeypatch.setattr(weights, "MOST_TENSORS", 1000)
    with pytest.raises(ModelError, match="lists 1,001 tensors, more than any network has"):
        read_weights(file)


@pytest.mark.parametrize("version", ["2.6.0", "2.9.1+cu128"])
def test_w1_pickles_are_not_read_by_a_torch_that_they_can_trick(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(2)}, file)
    assert read_weights(file)
    monkeypatch.setattr(weights.torch, "__version__", version)
    with pytest.raises(ModelError, match=r"CVE-2026-24747, mended in 2\.10\): update torch, or save .* \.safetensors"):
        read_weights(file)
    monkeypatch.setattr(weights.torch, "__version__", "2.10.0a0+git1")
    assert read_weights(file)
