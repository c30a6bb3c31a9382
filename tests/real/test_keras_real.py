"""A real Keras file: a LeNet for MNIST, weights alone, in a model of the user's own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.nn import functional

import sightline
from sightline.errors import ModelError
from sightline.images.prepare import Preparation
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.models.preparation_check import check_preparation

pytestmark = pytest.mark.real
os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported: without TensorFlow it cannot be otherwise
pytest.importorskip("keras")

LENET = """
import keras

L = keras.layers


def make():
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        L.Conv2D(6, 3, activation="relu", name="conv2d_2"), L.AveragePooling2D(2, name="pool2d_2"),
        L.Conv2D(16, 3, activation="relu", name="conv2d_3"), L.AveragePooling2D(2, name="pool2d_3"),
        L.Flatten(), L.Dense(120, activation="relu"), L.Dense(84, activation="relu"), L.Dense(10, activation="softmax"),
    ])
"""


class LeNet(nn.Module):
    """The same in torch."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        import h5py

        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 16, 3)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        names = {"conv1": "conv2d_2", "conv2": "conv2d_3", "fc1": "dense_3", "fc2": "dense_4", "fc3": "dense_5"}
        with h5py.File(file) as held:
            for own, name in names.items():
                kernel, bias = (torch.from_numpy(held[f"{name}/{name}/{part}:0"][()]) for part in ("kernel", "bias"))
                kernel = kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
                getattr(self, own).weight = nn.Parameter(kernel.contiguous())
                getattr(self, own).bias = nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.avg_pool2d(self.relu1(self.conv1(x)), 2)
        x = functional.avg_pool2d(self.relu2(self.conv2(x)), 2)
        x = torch.relu(self.fc2(torch.relu(self.fc1(x.permute(0, 2, 3, 1).flatten(1)))))
        scores: torch.Tensor = self.fc3(x)
        return scores


def digit(number: int) -> Image.Image:
    """A digit in white on black, as MNIST's: some 20 pixels high in a frame of 28."""
    image = Image.new("L", (112, 112))
    ImageDraw.Draw(image).text((56, 56), str(number), fill=255, font=ImageFont.load_default(88), anchor="mm")
    return image.resize((28, 28), Image.Resampling.LANCZOS).convert("RGB")


@pytest.fixture
def lenet(data_dir: Path, tmp_path: Path) -> Classifier:
    (tmp_path / "own_lenet.py").write_text(LENET)
    return load(
        f"{tmp_path}/own_lenet.py:make",
        weights=data_dir / "weights" / "lenet_mnist_weights.keras",
        preparation="grey, squash 28, 0-255",
    )


def test_digits_are_read(lenet: Classifier) -> None:
    found = [sightline.explain(lenet, digit(number), "occlusion(window=7, stride=7)") for number in range(10)]
    right = sum(one.target.index == number for number, one in enumerate(found))
    assert right >= 8, [one.target.index for one in found]


def test_the_usual_preparation_is_wrong_for_it_and_that_is_noticed(lenet: Classifier) -> None:
    """It was trained on bytes: with values from 0 to 1, which everybody would give it, it reads a 1 everywhere."""
    digits = [np.asarray(digit(number)) for number in range(10)]
    assert check_preparation(lenet, digits, most=10).suspect is None
    usual = replace(lenet, preparation=Preparation.parse("grey, squash 28, 0-1"))
    assert {sightline.explain(usual, one, "occlusion(window=7, stride=7)").target.index for one in digits} == {1}
    found = check_preparation(usual, digits, most=10)
    assert found.suspect is not None
    assert found.suspect.name == "values from 0 to 255"


@pytest.mark.parametrize(
    "method", ["gradient", "grad-cam", "guided-backpropagation", "lrp", "occlusion(window=7, stride=7)", "deep-lift"]
)
def test_maps_are_those_of_the_same_network_in_torch(lenet: Classifier, data_dir: Path, method: str) -> None:
    twin = wrap(
        LeNet(data_dir / "weights" / "lenet_mnist_weights.keras"), head="softmax", preparation=lenet.preparation
    )
    for number in (2, 7):
        one, other = (sightline.explain(model, digit(number), method, target=number).map for model in (lenet, twin))
        assert np.abs(other).max() > 0
        assert np.abs(one - other).max() <= 1e-5 * max(1.0, float(np.abs(other).max()))


def test_a_file_of_weights_alone_says_what_to_do(data_dir: Path) -> None:
    with pytest.raises(ModelError, match="holds weights and no model: build the model in a function"):
        load(str(data_dir / "weights" / "lenet_mnist_weights.keras"))
