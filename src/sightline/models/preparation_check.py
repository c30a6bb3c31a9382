"""Whether a network's preparation is probably wrong: the user's pictures prepared as declared, and in other usual ways.

A network that is given pictures as it was trained is sure of them, and unsure of pictures of nothing. For every picture

    evidence = max_k p_k · (1 − (c − c₀))

p are its probabilities, c the mean of max_k p_k on three clouds of coloured noise (1/f, as in photographs) prepared
alike, and c₀ the least c of all ways: values that are a hundred times too large make any network sure, but of anything.
Where another way has more evidence than the declared one, on the mean of n pictures by more than 0.75 / ∛n (0.25 at
least) and by two standard errors, the declared one is probably wrong; a gain of 0.25 is enough where a network of a
hundred classes or more is sure of noise (c of 0.7 and more) and the other way makes it unsure (0.35 and less). So it
is where the network, as declared, gives every class the same probability, whatever it is shown, and another way makes
it tell pictures apart: that speaks for itself also where a network of no photographs (digits, say) is sure of noise.
It says so and changes nothing: pictures of nothing that the network knows tell nothing.

`sightline explain` asks the same where nobody but the user, or nobody at all, says how pictures are prepared, of the
first four pictures; and other ways only where the network is so unsure that one of them could be better. It leaves
networks of fewer than ten classes alone, of which noise is one or the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.errors import ModelError, PictureError
from sightline.images.load import Picture, is_prepared, load
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier, device_of
from sightline.models.heads import probabilities, tell_head, two_sided
from sightline.models.preparation_ways import IMAGENET, conventions
from sightline.models.quiet import quiet
from sightline.models.web.client import RemoteClassifier

MARGIN = 0.25
"""Of evidence, on the mean of many pictures; less than that is what other ways differ by on networks in order."""
_ALONE = 0.75  # the margin for one picture; of n, that over the cube root of n
_FEW = 3  # from here on their spread is known
_MOST = 8
_GLANCE = 4
_CLASSES = 10
_CLOUDS = 3
_USUAL = 0.05
_SIDES = (96, 96)  # of noise that is resized
_MANY, _SURE, _UNSURE = 100, 0.7, 0.35  # classes, and how sure of noise a network is that is beside itself, or in order
_BLIND, _TELLS = 0.99, 0.25  # in parts of what the classes can tell, the logarithm of their number


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
    """

    name: str
    preparation: Preparation
    confidence: float
    entropy: float
    on_noise: float
    evidence: tuple[float, ...]
    classes: int
    told: float

    @property
    def blind(self) -> bool:
        """Whether all classes are as likely as one another, whatever is shown."""
        return self.entropy > _BLIND * math.log(self.classes)

    @property
    def tells(self) -> bool:
        """Whether pictures are told apart; of one or two nobody could say."""
        return len(self.evidence) >= _FEW and self.told > _TELLS * math.log(self.classes)

    @property
    def mean(self) -> float:
        """The mean evidence."""
        return float(np.mean(self.evidence))

    @property
    def words(self) -> str:
        """The numbers in words."""
        return f"first class {self.confidence:.0%}, entropy {self.entropy:.2f}; of noise {self.on_noise:.0%}"


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
            f"the preparation is probably wrong: prepared as {other.name} the network tells these pictures from noise "
            f"better ({other.words}) than as declared ({own.words}): try --preparation {other.preparation.text()!r}"
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
    with quiet(classifier.network), torch.inference_mode(False), torch.no_grad():
        found = [_asked(classifier, name, way, shown) for name, way in conventions(_declared(classifier))]
    return _judged(found)


def glance(classifier: Classifier, sources: Sequence[Any]) -> str | None:
    """The warning of a look at the first few pictures; none where nothing is to be said, or nothing can be.

    Args:
        classifier: one whose preparation its source knows, that is asked over HTTP, or that has fewer than ten classes
            that exclude each other, is left alone.
        sources: whatever `sightline.explain` takes; prepared input and what cannot be read are passed over.
    """
    each_by_itself = classifier.head in ("sigmoid", "independent-probabilities")
    if classifier.prepared_by_source or each_by_itself or isinstance(classifier.function, RemoteClassifier):
        return None
    shown = list(islice(_readable(sources), _GLANCE))
    try:
        with quiet(classifier.network), torch.inference_mode(False), torch.no_grad():
            found = _glanced(classifier, shown) if shown else None
    except Exception:
        # The user's network runs here, and may raise anything: it will again where it is explained, and be told there.
        return None
    return None if found is None else found.warning


def _glanced(classifier: Classifier, shown: list[Picture]) -> PreparationCheck | None:
    (name, declared), *others = conventions(_declared(classifier))
    own = _asked(classifier, name, declared, shown)
    least = own.mean * (1 - own.on_noise)  # its evidence, if another way is not sure of noise at all
    if own.classes < _CLASSES or least + margin(len(shown)) >= 1:
        return None
    return _judged([own, *(_asked(classifier, name, way, shown) for name, way in others)])


def _readable(sources: Sequence[Any]) -> Iterator[Picture]:
    for source in sources:
        if is_prepared(source):
            continue
        try:
            yield source if isinstance(source, Picture) else load(source)
        except PictureError:
            continue  # told where it is explained


def _declared(classifier: Classifier) -> Preparation:
    return classifier.preparation or Preparation(exif="apply")


def _judged(found: list[Convention]) -> PreparationCheck:
    """The check; until now their evidence is how sure the network is of each picture."""
    least = min(one.on_noise for one in found)
    found = [replace(one, evidence=tuple(sure * (1 - one.on_noise + least) for sure in one.evidence)) for one in found]
    own, others = found[0], sorted(found[1:], key=lambda one: -one.mean)
    better = [one for one in others if _better(one, own) or (own.blind and one.tells)]
    # Among those, the one of which the network is surest: that it is a little sure of noise, too, is in order. Of two
    # that are about alike the most usual one is named.
    return PreparationCheck(own, tuple(others), max(better, key=_sureness, default=None))


def _sureness(one: Convention) -> float:
    return one.confidence * min(1.0, 2 - 2 * one.on_noise) + _USUAL * (one.name == IMAGENET)


def margin(pictures: int) -> float:
    """By how much more evidence another way has to be better, on the mean of so many pictures."""
    return max(MARGIN, _ALONE / math.cbrt(pictures))


def _asked(classifier: Classifier, name: str, way: Preparation, shown: list[Picture]) -> Convention:
    """What the network makes of pictures, and of noise, that are prepared this way."""
    p = torch.cat([_probabilities(classifier, way, picture) for picture in shown])
    entropy = -(p * p.clamp_min(1e-12).log()).sum(1)
    first = p.amax(1)
    noise = [load(one) for one in _clouds(_SIDES if way.resize else shown[0].size)]
    on_noise = float(torch.cat([_probabilities(classifier, way, one).amax(1) for one in noise]).mean())
    sure = tuple(float(one) for one in first)
    on_the_whole = p.mean(0)
    told = float(-(on_the_whole * on_the_whole.clamp_min(1e-12).log()).sum() - entropy.mean())
    return Convention(name, way, float(first.mean()), float(entropy.mean()), on_noise, sure, p.shape[1], told)


def _probabilities(classifier: Classifier, way: Preparation, picture: Picture) -> torch.Tensor:
    """`1 k`; nothing where the network answers with what is no number."""
    pixels, _ = way.prepare(picture)
    raw = classifier.raw_scores(pixels.to(device_of(classifier))).detach().float().cpu()
    head = tell_head(raw, traced=False) if classifier.head == "auto" else classifier.head
    p = probabilities(two_sided(raw, head), head)
    if p.shape[1] < 2:
        raise ModelError(f"{classifier.name} has one score: there is nothing that its preparation could be told from")
    return p.nan_to_num(0) / p.nan_to_num(0).sum(1, keepdim=True).clamp_min(1e-12)


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


def _better(best: Convention, own: Convention) -> bool:
    """Whether another way is better on the mean, and that not by chance."""
    gains = np.array(best.evidence) - np.array(own.evidence)
    # A network of many classes that is sure of noise needs no more pictures to be found out.
    beside_itself = own.classes >= _MANY and own.on_noise >= _SURE and best.on_noise <= _UNSURE
    if gains.mean() <= (MARGIN if beside_itself else margin(len(gains))):
        return False
    return len(gains) < _FEW or bool(gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)))
