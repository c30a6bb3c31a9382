"""The preparation: would the network know more of these pictures if they were given to it in another way?

    information  H(mean p_i) − mean H(p_i), in nats, where p_i is the mean of the probabilities of picture i and of its
                 mirror image, and H the entropy

A network that is given pictures as it was trained is sure of each of them, sure of the same in the mirror, and says
different things of different pictures: then information is high. Values of another range make it unsure, or sure of
one and the same class, or of one class here and of another in the mirror. Confidence alone would not tell: values that
are a hundred times too large make any network sure, which is why such are found less surely than those that are too
small. This is a hint, not a proof: it needs pictures that the network knows, and four of them or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch

from sightline.doctor.findings import Finding
from sightline.errors import NonFiniteError
from sightline.images.prepare import Preparation
from sightline.passes.passes import Passes
from sightline.types import Pixels

FEWEST = 4
CLEAR = 0.1
"""Another way must tell so much more, in parts of what the pictures could tell at most."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE = (123.68, 116.78, 103.94)


class Seen(NamedTuple):
    """How the network takes pictures that are given in one way."""

    information: float
    confidence: float
    entropy: float


def preparation(passes: Passes, pixels: Pixels) -> Finding:
    """The declared preparation against the usual others.

    Args:
        passes: where the network is asked.
        pixels: `b c h w`, as the declared preparation made them, all of one size.
    """
    check, declared = "the preparation", passes.classifier.preparation
    if len(pixels) < FEWEST:
        words = f"{len(pixels)} pictures came, and {FEWEST} or more that the network knows are needed"
        return Finding(check=check, verdict="not asked", words=words, advice="give more photographs of its classes")
    own = seen(passes, pixels)
    found = {name: seen(passes, other) for name, other in others(pixels, declared).items()}
    if own is None:
        return Finding(check=check, verdict="wrong", words="its answers are NaN or infinite")
    known = {name: one for name, one in found.items() if one is not None}
    best = max(known, key=lambda name: known[name].information, default=None)
    numbers = {"declared": own.information, "declared_confidence": own.confidence} | {
        name: one.information for name, one in known.items()
    }
    told = f"as declared: {_words(own)}"
    if best is not None and known[best].information - own.information > CLEAR * math.log(len(pixels)):
        return Finding(
            check=check,
            verdict="wrong",
            words=f"it knows more of these pictures when they are given as {best} ({_words(known[best])}; {told})",
            advice="declare the preparation of its training: sightline.wrap(network, preparation=…), or look at the "
            "card of the weights",
            numbers=numbers,
        )
    undeclared = declared is None
    return Finding(
        check=check,
        verdict="care" if undeclared else "ok",
        words=f"{told}; no usual other way tells it clearly more",
        advice="no preparation was declared: RGB from 0 to 1 at the picture's own size was given" if undeclared else "",
        numbers=numbers,
    )


def seen(passes: Passes, pixels: Pixels) -> Seen | None:
    """How the network takes these pictures; None where its answers are not finite."""
    try:
        both = torch.stack([passes.probabilities(passes.scores(one)) for one in (pixels, pixels.flip(-1))])
    except NonFiniteError:
        return None
    each = both.double().mean(0)
    each = each / each.sum(1, keepdim=True).clamp_min(1e-30)
    spread = float(_entropy(each).mean())
    return Seen(float(_entropy(each.mean(0))) - spread, float(both[0].amax(1).mean()), spread)


def others(pixels: Pixels, declared: Preparation | None) -> Mapping[str, Pixels]:
    """The same pictures as other pipelines would give them; those that are the declared one are left out."""
    way = declared or Preparation()
    mean, std = (torch.tensor(one, device=pixels.device)[:, None, None] for one in (way.mean, way.std))
    unit = (pixels * std + mean) * (way.scale / 255)
    if way.channels == "bgr":
        unit = unit.flip(1)
    found = {"RGB from 0 to 1": unit, "RGB from −1 to 1": 2 * unit - 1, "RGB from 0 to 255": 255 * unit}
    if unit.shape[1] == 3:
        usual, spread, caffe = (torch.tensor(one, device=pixels.device)[:, None, None] for one in (_MEAN, _STD, _CAFFE))
        found["RGB less ImageNet's mean, by its deviation"] = (unit - usual) / spread
        found["BGR less ImageNet's mean, from 0 to 255"] = (255 * unit - caffe).flip(1)
        found["the declared way with red and blue exchanged"] = pixels.flip(1)
    return {name: one for name, one in found.items() if float((one - pixels).abs().max()) > 1e-3}


def _entropy(probabilities: torch.Tensor) -> torch.Tensor:
    return -(probabilities * probabilities.clamp_min(1e-30).log()).sum(-1)


def _words(one: Seen) -> str:
    return f"{one.information:.2f} nats, mean top probability {one.confidence:.0%}"
