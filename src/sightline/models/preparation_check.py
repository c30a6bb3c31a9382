"""Whether a network's preparation is probably wrong: the user's pictures prepared as declared, and in other usual ways.

A network that is given pictures as it was trained is sure of them, and unsure of pictures of nothing. For every picture

    evidence = max_k p_k · (1 − (c − c₀))

p are its probabilities (those of labels that are each true or not by themselves need not add up to one), c the mean of
max_k p_k on three clouds of coloured noise (1/f, as in photographs) prepared alike, and c₀ the least c of all ways:
values that are a hundred times too large make any network sure, but of anything.
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

from sightline.errors import ModelError, PictureError
from sightline.images.load import Picture, is_prepared, load
from sightline.models.classifier import Classifier
from sightline.models.heads import each_by_itself
from sightline.models.preparation_evidence import FEW, Convention, asked, declared, with_head
from sightline.models.preparation_ways import IMAGENET, TURNED, conventions
from sightline.models.quiet import quiet
from sightline.models.web.client import RemoteClassifier

MARGIN = 0.25
"""Of evidence, on the mean of many pictures; less than that is what other ways differ by on networks in order."""
_ALONE = 0.75  # the margin for one picture; of n, that over the cube root of n
_MOST = 8
_GLANCE = 4
_MANY_ENOUGH, _TURNED_GAIN = 6, 0.05  # pictures, and evidence
_CLASSES = 10
_USUAL = 0.05
_MANY, _SURE, _UNSURE = 100, 0.7, 0.35  # classes, and how sure of noise a network is that is beside itself, or in order


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
    def turned(self) -> Convention | None:
        """The same with the channels the other way round, where the network is surer of the pictures so, not by chance.

        Less than a proof: networks see nearly as well in the wrong order, and only many pictures tell.
        """
        other = next((one for one in self.others if TURNED in one.name), None)
        if other is None or len(other.evidence) < _MANY_ENOUGH:
            return None
        gains = np.array(other.evidence) - np.array(self.declared.evidence)
        clear = gains.mean() > _TURNED_GAIN and gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))
        return other if clear else None

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
        known = with_head(classifier, shown[0])
        found = [asked(known, name, way, shown) for name, way in conventions(declared(classifier))]
    return _judged(found)


def glance(classifier: Classifier, sources: Sequence[Any]) -> str | None:
    """The warning of a look at the first few pictures; none where nothing is to be said, or nothing can be.

    Args:
        classifier: one whose preparation its source knows, that is asked over HTTP, or that has fewer than ten classes
            that exclude each other, is left alone.
        sources: whatever `sightline.explain` takes; prepared input and what cannot be read are passed over.
    """
    if classifier.prepared_by_source or isinstance(classifier.function, RemoteClassifier):
        return None
    shown = list(islice(_readable(sources), _GLANCE))
    try:
        with quiet(classifier.network), torch.inference_mode(False), torch.no_grad():
            known = with_head(classifier, shown[0]) if shown and not each_by_itself(classifier.head) else None
            found = None if known is None or each_by_itself(known.head) else _glanced(known, shown)
    except Exception:
        # The user's network runs here, and may raise anything: it will again where it is explained, and be told there.
        return None
    return None if found is None else found.warning


def _glanced(classifier: Classifier, shown: list[Picture]) -> PreparationCheck | None:
    (name, way), *others = conventions(declared(classifier))
    own = asked(classifier, name, way, shown)
    least = own.mean * (1 - own.on_noise)  # its evidence, if another way is not sure of noise at all
    if own.classes < _CLASSES or least + margin(len(shown)) >= 1:
        return None
    return _judged([own, *(asked(classifier, name, way, shown) for name, way in others)])


def _readable(sources: Sequence[Any]) -> Iterator[Picture]:
    for source in sources:
        if is_prepared(source):
            continue
        try:
            yield source if isinstance(source, Picture) else load(source)
        except PictureError:
            continue  # told where it is explained


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


def _better(best: Convention, own: Convention) -> bool:
    """Whether another way is better on the mean, and that not by chance."""
    gains = np.array(best.evidence) - np.array(own.evidence)
    # A network of many classes that is sure of noise needs no more pictures to be found out.
    beside_itself = own.classes >= _MANY and own.on_noise >= _SURE and best.on_noise <= _UNSURE
    if gains.mean() <= (MARGIN if beside_itself else margin(len(gains))):
        return False
    return len(gains) < FEW or bool(gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)))
