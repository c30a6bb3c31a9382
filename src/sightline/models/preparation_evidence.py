"""What a network makes of pictures, and of pictures of nothing, that are prepared in one way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from sightline.errors import ModelError
from sightline.images.load import Picture, load
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier, device_of, dtype_of
from sightline.models.heads import each_by_itself, entropy, probabilities, tell_head, two_sided

FEW = 3
"""Pictures from which on their spread is known."""
_CLOUDS = 3
_SIDES = (96, 96)  # of noise that is resized
_BLIND, _TELLS = 0.99, 0.25  # in parts of what the classes can tell, the logarithm of their number
_SURER = 0.05  # of pictures than of noise, in probability


@dataclass(frozen=True)
class Convention:
    """One way of preparing, and what the network makes of it.

    Attributes:
        name: in a few words.
        preparation: the way.
        confidence: the mean probability of the first class.
        entropy: the mean entropy of the probabilities, in nats.
        on_noise: the mean probability of the first class where noise is shown.
        evidence: one number a picture, from 0 to 1.
        classes: how many scores there are.
        told: what the answer tells of which picture it was, in nats (their mutual information).
        labels: whether each class is true or not by itself; `entropy` is then that of all labels together.
    """

    name: str
    preparation: Preparation
    confidence: float
    entropy: float
    on_noise: float
    evidence: tuple[float, ...]
    classes: int
    told: float
    labels: bool = False

    @property
    def most(self) -> float:
        """The entropy of an answer that says nothing."""
        return self.classes * math.log(2) if self.labels else math.log(self.classes)

    @property
    def blind(self) -> bool:
        """Whether all classes are as likely as one another, whatever is shown."""
        return self.entropy > _BLIND * self.most

    @property
    def unsure(self) -> bool:
        """Whether it is hardly surer of these pictures than of noise."""
        return self.confidence - self.on_noise < _SURER

    @property
    def tells(self) -> bool:
        """Whether pictures are told apart; of one or two nobody could say."""
        return len(self.evidence) >= FEW and self.told > _TELLS * math.log(self.classes)

    @property
    def mean(self) -> float:
        """The mean evidence."""
        return float(np.mean(self.evidence))

    @property
    def words(self) -> str:
        """The numbers in words."""
        if self.labels:
            return f"most likely label {self.confidence:.1%}; of noise {self.on_noise:.1%}"
        return f"first class {self.confidence:.0%}, entropy {self.entropy:.2f}; of noise {self.on_noise:.0%}"


def declared(classifier: Classifier) -> Preparation:
    """The preparation, or what is done where there is none."""
    return classifier.preparation or Preparation(exif="apply")


def with_head(classifier: Classifier, picture: Picture) -> Classifier:
    """The classifier, its head told from its answer to one picture as it is where methods ask: by the graph's end."""
    if classifier.head != "auto":
        return classifier
    pixels, _ = declared(classifier).prepare(picture)
    with torch.set_grad_enabled(classifier.gradients):
        leaf = _given(classifier, pixels).requires_grad_(classifier.gradients)
        raw = classifier.raw_scores(leaf.clone())  # not the leaf itself: a network may work in place
    return replace(classifier, head=tell_head(raw, traced=raw.requires_grad))


def asked(classifier: Classifier, name: str, way: Preparation, shown: list[Picture]) -> Convention:
    """What the network makes of pictures, and of noise, that are prepared this way."""
    p = torch.cat([_probabilities(classifier, way, picture) for picture in shown])
    each = entropy(p, classifier.head)
    first = p.amax(1)
    noise = [load(one) for one in _clouds(_SIDES if way.resize else shown[0].size)]
    on_noise = float(torch.cat([_probabilities(classifier, way, one).amax(1) for one in noise]).mean())
    sure = tuple(float(one) for one in first)
    told = float(entropy(p.mean(0, keepdim=True), classifier.head) - each.mean())
    return Convention(
        name=name,
        preparation=way,
        confidence=float(first.mean()),
        entropy=float(each.mean()),
        on_noise=on_noise,
        evidence=sure,
        classes=p.shape[1],
        told=told,
        labels=each_by_itself(classifier.head),
    )


def _probabilities(classifier: Classifier, way: Preparation, picture: Picture) -> torch.Tensor:
    """`1 k`; nothing where the network answers with what is no number."""
    pixels, _ = way.prepare(picture)
    raw = classifier.raw_scores(_given(classifier, pixels)).detach().float().cpu()
    p = probabilities(two_sided(raw, classifier.head), classifier.head).nan_to_num(0)
    if each_by_itself(classifier.head):
        return p.clamp(0, 1)
    if p.shape[1] < 2:
        raise ModelError(f"{classifier.name} has one score: there is nothing that its preparation could be told from")
    return p / p.sum(1, keepdim=True).clamp_min(1e-12)


def _given(classifier: Classifier, pixels: torch.Tensor) -> torch.Tensor:
    return pixels.to(device_of(classifier), dtype_of(classifier), copy=True)


def _clouds(size: tuple[int, int]) -> list[Image.Image]:
    """Pictures of nothing, with the spectrum, the colours and the contrast of photographs; height × width."""
    height, width = (max(2, side) for side in size)
    far = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    far[0, 0] = np.inf
    made = []
    for seed in range(_CLOUDS):
        draw = np.random.default_rng(seed)
        waves = draw.normal(size=(3, *far.shape)) + 1j * draw.normal(size=(3, *far.shape))
        clouds = np.fft.irfft2(waves / far, s=(height, width)).transpose(1, 2, 0)
        grey = clouds.mean(2, keepdims=True)
        values = 2 * grey + clouds  # colours differ less than brightness does
        spread = (values - values.mean()) / max(values.std(), 1e-12)
        pixels = 55 * spread + np.array([124, 117, 104]) + 15 * draw.normal(size=3)
        made.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    return made
