"""Whether a network's preparation is probably wrong: the user's pictures prepared as declared, and in other usual ways.

A network is surer of pictures that look as those it was trained on. For every picture

    evidence = max_k p_k · (1 − Σ_k p_k q_k)

p are its probabilities, q those of noise prepared alike, so that a network that gives the same answer to anything
(bytes where 0 to 1 was meant) is not taken for sure. Where another way has more evidence than the declared one, by a
good margin and not by chance, the declared one is probably wrong. It says so and changes nothing: a network may be
surer of what is wrong, and on pictures of nothing that it knows no way tells anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.errors import ModelError
from sightline.images.load import Picture, load
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier, device_of
from sightline.models.heads import probabilities, tell_head, two_sided
from sightline.models.quiet import quiet

MARGIN = 0.1
"""Of evidence, on the mean of several pictures; less than that is what other ways differ by on networks in order."""
_ALONE = 0.25  # the margin for one or two pictures
_FEW = 3
_MOST = 8


@dataclass(frozen=True)
class Convention:
    """One way of preparing, and what the network makes of it.

    Attributes:
        name: in a few words.
        preparation: the way.
        confidence: the mean probability of the first class.
        entropy: the mean entropy of the probabilities, in nats.
        evidence: one number a picture, from 0 to 1.
    """

    name: str
    preparation: Preparation
    confidence: float
    entropy: float
    evidence: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean evidence."""
        return float(np.mean(self.evidence))


@dataclass(frozen=True)
class PreparationCheck:
    """What was found.

    Attributes:
        declared: the classifier's own preparation.
        others: the other ways, the best first.
        suspect: the way that is probably right instead, or none.
    """

    declared: Convention
    others: tuple[Convention, ...]
    suspect: Convention | None

    @property
    def warning(self) -> str | None:
        """One line for the user, or none where nothing speaks against the preparation."""
        if self.suspect is None:
            return None
        own, other = self.declared, self.suspect
        return (
            f"the preparation is probably wrong: prepared as {other.name} the network is surer of these pictures "
            f"(first class {other.confidence:.0%}, entropy {other.entropy:.2f}) than as declared "
            f"({own.confidence:.0%}, {own.entropy:.2f}): try --preparation {other.preparation.text()!r}"
        )


def check_preparation(classifier: Classifier, pictures: Sequence[Any], most: int = _MOST) -> PreparationCheck:
    """Compare a classifier's preparation with other usual ones on some pictures.

    Costs about eight forward passes a picture.

    Args:
        classifier: with more than one class.
        pictures: paths, Pillow images or uint8 arrays; the first `most` are looked at.
        most: how many.

    Raises:
        ModelError: no picture came, or the network has one class only.
    """
    shown = [one if isinstance(one, Picture) else load(one) for one in list(pictures)[:most]]
    if not shown:
        raise ModelError("a preparation is checked on pictures: give some")
    declared = classifier.preparation or Preparation(exif="apply")
    with quiet(classifier.network), torch.inference_mode(False), torch.no_grad():
        found = [_asked(classifier, name, way, shown) for name, way in conventions(declared)]
    own, others = found[0], sorted(found[1:], key=lambda one: -one.mean)
    best = next(iter(others), None)
    return PreparationCheck(own, tuple(others), best if best is not None and _better(best, own) else None)


def conventions(declared: Preparation) -> list[tuple[str, Preparation]]:
    """The declared preparation, then other usual ways on the same pixels; those equal to it are left out."""
    count = len(declared.mean)
    turned = {"rgb": "bgr", "bgr": "rgb"}.get(declared.channels)
    imagenet, deviations, bytes_mean = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (123.68, 116.779, 103.939)
    if declared.channels == "bgr":
        imagenet, deviations, bytes_mean = imagenet[::-1], deviations[::-1], bytes_mean[::-1]
    ways: dict[str, dict[str, Any]] = {
        "values from 0 to 1": {"scale": 255.0, "mean": (0.0,) * count, "std": (1.0,) * count},
        "values from −1 to 1": {"scale": 127.5, "mean": (1.0,) * count, "std": (1.0,) * count},
        "values from 0 to 255": {"scale": 1.0, "mean": (0.0,) * count, "std": (1.0,) * count},
    }
    if count == 3:
        ways |= {
            "ImageNet's mean and deviation": {"scale": 255.0, "mean": imagenet, "std": deviations},
            "bytes less their mean (Caffe)": {"scale": 1.0, "mean": bytes_mean, "std": (1.0,) * 3},
        }
    found = [("declared", declared), *((name, replace(declared, **fields)) for name, fields in ways.items())]
    if turned is not None:
        found.append((f"{turned.upper()} in place of {declared.channels.upper()}", _turned(declared, turned)))
    values = [(way.scale, way.mean, way.std, way.channels) for _, way in found]
    return [one for place, one in enumerate(found) if place == 0 or not _alike(values[place], values[0])]


def _turned(declared: Preparation, channels: Any) -> Preparation:
    return replace(declared, channels=channels, mean=declared.mean[::-1], std=declared.std[::-1])


def _alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two ways give about the same numbers for black and white."""
    if one[3] != other[3]:
        return False
    ends = [
        np.array(
            [[(value / way[0] - mean) / std for mean, std in zip(way[1], way[2], strict=True)] for value in (0, 255)]
        )
        for way in (one, other)
    ]
    return bool(np.abs(ends[0] - ends[1]).max() <= 0.05 * np.abs(ends[1]).max())


def _asked(classifier: Classifier, name: str, way: Preparation, shown: list[Picture]) -> Convention:
    noise = [load(Image.fromarray(one)) for one in _noise()]
    p = torch.cat([_probabilities(classifier, way, picture) for picture in shown])
    q = torch.cat([_probabilities(classifier, way, picture) for picture in noise]).mean(0)
    entropy = -(p * p.clamp_min(1e-12).log()).sum(1)
    first = p.amax(1)
    evidence = first * (1 - (p * q).sum(1)).clamp(0, 1)
    return Convention(name, way, float(first.mean()), float(entropy.mean()), tuple(float(one) for one in evidence))


def _probabilities(classifier: Classifier, way: Preparation, picture: Picture) -> torch.Tensor:
    """`1 k`; nothing where the network answers with what is no number."""
    pixels, _ = way.prepare(picture)
    raw = classifier.raw_scores(pixels.to(device_of(classifier))).detach().float().cpu()
    head = tell_head(raw, traced=False) if classifier.head == "auto" else classifier.head
    p = probabilities(two_sided(raw, head), head)
    if p.shape[1] < 2:
        raise ModelError(f"{classifier.name} has one score: there is nothing that its preparation could be told from")
    return p.nan_to_num(0) / p.nan_to_num(0).sum(1, keepdim=True).clamp_min(1e-12)


def _noise() -> list[Any]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (64, 64, 3), dtype=np.uint8), np.full((64, 64, 3), 128, np.uint8)]


def _better(best: Convention, own: Convention) -> bool:
    """Whether another way is better on the mean, and that not by chance."""
    gains = np.array(best.evidence) - np.array(own.evidence)
    if len(gains) < _FEW:
        return bool(gains.mean() > _ALONE)
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return bool(gains.mean() > MARGIN and gains.mean() > 2 * error)
