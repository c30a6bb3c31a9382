"""The networks of the benchmark and what they are asked about."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from parity.rows import Case
from parity.subjects import Data
from torch import nn

from sightline.images.load import load as load_picture
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier, wrap
from sightline.models.sources.torchvision import import_torchvision
from speed.names import LAYERS

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RANDOM = {"VGG-16": "vgg16", "MobileNetV2": "mobilenet_v2"}
"""Networks without trained weights at hand: they take as long with random ones, drawn from a seed."""
PICTURES = 8


@dataclass(frozen=True, eq=False)
class Asked:
    """What everybody is asked: the same classes of the same pictures before the same network.

    Attributes:
        subject: the network's name.
        classifier: the network with its preparation.
        pixels: `b 3 h w`, prepared.
        targets: the class to be explained, one a picture.
        layer: where class activation maps look.
    """

    subject: str
    classifier: Classifier
    pixels: torch.Tensor
    targets: tuple[int, ...]
    layer: str

    @property
    def network(self) -> nn.Module:
        """The module itself, as other packages are asked."""
        assert self.classifier.network is not None
        return self.classifier.network

    @cached_property
    def case(self) -> Case:
        """The first picture, as the parity table asks."""
        return Case(self.subject, self.classifier, "", self.pixels[:1], self.targets[0], self.layer)

    def first(self, pictures: int) -> Asked:
        """The first pictures only."""
        return replace(self, pixels=self.pixels[:pictures], targets=self.targets[:pictures])

    def one_by_one(self) -> list[Asked]:
        """The same network and one picture each."""
        rows = [slice(row, row + 1) for row in range(len(self.pixels))]
        return [replace(self, pixels=self.pixels[row], targets=self.targets[row]) for row in rows]

    def channels_last(self) -> Asked:
        """A copy of the network, and the pictures, with channels last in memory."""
        twin = copy.deepcopy(self.network).to(memory_format=torch.channels_last)
        pixels = self.pixels.contiguous(memory_format=torch.channels_last)
        return replace(self, classifier=replace(self.classifier, function=twin), pixels=pixels)


class Seen(nn.Module):
    """A layer, and in it a module through which its first channels go, for methods that ask channel by channel."""

    def __init__(self, layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.layer, self.channels = layer, channels
        self.seen = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.layer(x)
        return torch.cat([self.seen(answer[:, : self.channels]), answer[:, self.channels :]], 1)


def first_channels(asked: Asked, channels: int) -> Asked:
    """The same network, in a copy, in which only the first channels of the layer are looked at."""
    twin = copy.deepcopy(asked.network)
    twin.set_submodule(asked.layer, Seen(twin.get_submodule(asked.layer), channels))
    return replace(asked, classifier=replace(asked.classifier, function=twin), layer=f"{asked.layer}.seen")


def make(data: Data, subject: str) -> Asked:
    """The network and the photographs, with the network's own first answers as classes.

    Raises:
        MissingDataError: the folder of weights and photographs is not there.
    """
    classifier = _random(RANDOM[subject]) if subject in RANDOM else data.classifier(subject)
    preparation = classifier.preparation
    assert preparation is not None
    assert classifier.network is not None
    paths = [path for path, _ in data.photographs(PICTURES)]
    pixels = torch.cat([preparation.prepare(load_picture(path))[0] for path in paths])
    with torch.no_grad():
        targets = torch.cat([classifier.network.eval()(one).argmax(1) for one in torch.split(pixels, 1)])
    return Asked(subject, classifier, pixels, tuple(targets.tolist()), LAYERS[subject])


def _random(name: str) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = import_torchvision().models.get_model(name, weights=None)
    preparation = Preparation(resize=256, crop=(224, 224), mean=MEAN, std=STD)
    return wrap(network, preparation=preparation, head="softmax")
