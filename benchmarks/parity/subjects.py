"""The networks and photographs of the comparison: real weights, real photographs, nothing downloaded."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sightline
from parity.rows import LAYERS, Case
from sightline.images.load import load as load_picture
from sightline.models.classifier import Classifier

CLASSIC = ("ramprs-grad-cam-cat_dog.jpg", "pytorch-grad-cam-both.png")
NAMES = {
    "ResNet-18": ("torchvision/resnet18", "resnet18.safetensors"),
    "ResNet-50": ("torchvision/resnet50", "resnet50.safetensors"),
    "ViT-Tiny": ("timm/vit_tiny_patch16_224", "vit_tiny_patch16_224.safetensors"),
}


class MissingDataError(SystemExit):
    """The folder of weights and photographs is not there: nothing can be compared."""


@dataclass(frozen=True)
class Data:
    """Where weights and photographs lie.

    Attributes:
        folder: weights, photographs and their truth.
        weights: where the ResNets lie expanded; made there if they are missing.
    """

    folder: Path
    weights: Path

    def check(self) -> None:
        """Refuse, in one line, to go on without the data.

        Raises:
            MissingDataError: no such folder, or not that one.
        """
        if not (self.folder / "photos" / "imagenet.csv").is_file():
            raise MissingDataError(f"no photographs in {self.folder}: give the folder with --data FOLDER")

    def expand(self) -> None:
        """Make the ResNets' state dicts from their compressed form, once."""
        if all((self.weights / f"{name}.safetensors").is_file() for name in ("resnet18", "resnet50")):
            return
        self.weights.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(self.folder / "expand.py"), str(self.weights)], check=True)

    def classifier(self, subject: str) -> Classifier:
        """The network of the table, with its preparation."""
        name, file = NAMES[subject]
        own = self.folder / "weights" / file
        return sightline.load(name, weights=own if own.is_file() else self.weights / file)

    def photographs(self, count: int) -> list[tuple[Path, int | None]]:
        """Pictures and their true classes: ImageNet's evenly from the whole list, then two that papers show."""
        with (self.folder / "photos" / "imagenet.csv").open(encoding="utf-8", newline="") as file:
            listed = [(row[0], int(row[1])) for row in csv.reader(file) if row[1].isdigit()]
        real = max(1, count - len(CLASSIC))
        chosen = [listed[place * len(listed) // real] for place in range(real)]
        found: list[tuple[Path, int | None]] = [(self.folder / "photos" / "imagenet" / name, k) for name, k in chosen]
        return (found + [(self.folder / "photos" / "classic" / name, None) for name in CLASSIC])[:count]


@lru_cache(maxsize=3)
def classifier_of(data: Data, subject: str) -> Classifier:
    """The network of the table, loaded once."""
    return data.classifier(subject)


@lru_cache(maxsize=2)
def case(data: Data, subject: str, place: int, count: int) -> Case:
    """One of so many photographs before one network, at its last layer; what ours answer of it is kept with it.

    What is explained is the true class where it is known, else the network's first answer.
    """
    classifier = classifier_of(data, subject)
    assert classifier.preparation is not None
    assert classifier.network is not None
    path, truth = data.photographs(count)[place]
    pixels, _ = classifier.preparation.prepare(load_picture(path))
    target = truth if truth is not None else int(classifier.network(pixels).argmax())
    return Case(subject, classifier, path.name, pixels, target, LAYERS[subject]["last"][0])
