"""What only training again can tell, on a small form of the built-in world (`small.py`): ROAR, and random labels.

    ROAR           replace in every picture, also the held-out ones, the share t of pixels that the map puts first by
                   the mean colour of all that was learnt from, train again, and take the accuracy that is left. What a
                   good map took away cannot be learnt again. (Each picture's own mean colour would tell of it.)
                   S. Hooker, D. Erhan, P.-J. Kindermans and B. Kim, "A Benchmark for Interpretability Methods in Deep
                   Neural Networks", NeurIPS 2019, section 3.
    random labels  train on labels that were shuffled once, and compare the maps of the two networks on the same
                   pictures: a map that stays the same does not tell what was learnt. J. Adebayo et al., "Sanity Checks
                   for Saliency Maps", NeurIPS 2018, section 4 (data randomization test).

ROAR's papers train five times for each number; `seeds` says how often is trained here. Maps explain the network that
was trained on whole pictures, the target being the true kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.base import Method
from sightline.demo.network import MEAN, STD, SceneNet
from sightline.demo.scoring import prepared
from sightline.demo.worlds import Pictures
from sightline.evaluation.similarity import Similarity, similarity
from sightline.evaluation.worlds.small import WORLD_SEED, Small, Split, accuracy, split, trained
from sightline.images.prepare import Preparation
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes

ALIKE: tuple[Similarity, ...] = ("spearman", "absolute-spearman", "ssim", "hog")
LABELLED = 32
"""Pictures on which maps are held against those of the network with random labels."""
LEARN_BY_HEART = 3
"""Times as many rounds: shuffled labels can only be learnt by heart."""
_TOGETHER = 32
Say = Callable[[str], object]
Once = Callable[[str, Callable[[], Any]], Any]
"""Gives what is kept under a name, or else what is made now (`sightline.runs.unfinished`)."""


class Retraining:
    """Both tests on one small world. What both need, the network that learnt whole pictures, is trained once.

    Args:
        small: the world.
        say: told a line of progress at a time.
        once: asked for every number by a name and what makes it, plain JSON values; for runs that may be broken off.
    """

    def __init__(self, small: Small, say: Say = lambda _: None, once: Once = lambda _, make: make()) -> None:
        self.small = small
        self._say = say
        self._once = once
        self._left: dict[bytes, float] = {}  # what was left after training on such pictures from such a seed

    def record(self, methods: Sequence[Method]) -> dict[str, Any]:
        """Both tests, as plain JSON values."""
        left = self.roar(methods)
        scored, alike = self.random_labels(methods)
        return {
            "settings": asdict(self.small) | {"shares": list(self.small.shares)},
            "roar": {name: {str(share): values for share, values in row.items()} for name, row in left.items()},
            "accuracy": scored,
            "random labels": alike,
        }

    def roar(self, methods: Sequence[Method]) -> dict[str, dict[float, list[float]]]:
        """Accuracy after training again, for each method and each share of pixels, one value a seed.

        The row `whole` has the accuracy with nothing replaced, at share 0. Costs, for each method, its passes for every
        picture, and one training for each share and seed.

        Raises:
            NotSupportedError: a method that is not defined for the network.
        """
        whole = self._once(self._name("whole"), self._whole)
        found: dict[str, dict[float, list[float]]] = {"whole": {0.0: whole}}
        self._say(f"ROAR: {whole[0]:.2f} with whole pictures")
        for method in methods:
            left = self._once(self.piece(method), lambda method=method: self._without(method))  # type: ignore[misc]
            row = found[str(method)] = dict(zip(self.small.shares, left, strict=True))
            told = ", ".join(f"{np.mean(left):.2f} without {share:.0%}" for share, left in row.items())
            self._say(f"ROAR: {method}: {told}")
        return found

    def random_labels(
        self, methods: Sequence[Method], pictures: int = LABELLED
    ) -> tuple[dict[str, float], dict[str, dict[str, list[float]]]]:
        """How alike the maps of a network are to those of one that learnt shuffled labels.

        Returns:
            the accuracies (`true` and `shuffled` on held-out pictures, `learnt` on the shuffled labels themselves), and
            for each method how alike the two maps of each picture are (`sightline.evaluation.similarity`).
        """
        scored = self._once(self._name("accuracy"), self._accuracies)
        self._say("random labels: " + ", ".join(f"{name} {value:.2f}" for name, value in scored.items()))
        found: dict[str, dict[str, list[float]]] = {}
        for method in methods:
            name = self._name(f"random labels, {pictures} pictures", method)
            row = found[str(method)] = self._once(name, lambda method=method: self._alike(method, pictures))  # type: ignore[misc]
            self._say(f"random labels: {method}: " + ", ".join(f"{k} {np.mean(v):.2f}" for k, v in row.items()))
        return scored, found

    @cached_property
    def given(self) -> Split:
        """The pictures as they are."""
        return split(self.small)

    @cached_property
    def first(self) -> SceneNet:
        """The network that is explained."""
        return trained(self.given.learnt, self.small, self.small.seed)

    @cached_property
    def _wrong(self) -> Pictures:
        learnt = self.given.learnt
        shuffled = np.random.default_rng([WORLD_SEED, self.small.seed, 1]).permutation(len(learnt.answers))
        return replace(learnt, answers=learnt.answers[shuffled])

    @cached_property
    def _by_heart(self) -> SceneNet:
        longer = replace(self.small, epochs=LEARN_BY_HEART * self.small.epochs)
        return trained(self._wrong, longer, self.small.seed)

    def piece(self, method: Method) -> str:
        """The name under which what ROAR takes of one method is kept."""
        return self._name("ROAR", method)

    def _name(self, test: str, method: Method | None = None) -> str:
        return f"{test}: {self.small!r}" + ("" if method is None else f" {method!r}")

    def _whole(self) -> list[float]:
        more = [trained(self.given.learnt, self.small, self.small.seed + extra) for extra in range(1, self.small.seeds)]
        return [accuracy(network, self.given.held_out) for network in (self.first, *more)]

    def _without(self, method: Method) -> list[list[float]]:
        """What is left without each share of what the method's maps put first."""
        pairs = [(part, _maps(method, self.first, part)) for part in (self.given.learnt, self.given.held_out)]
        mean = self.given.learnt.images.mean((0, 1, 2)).round().astype(np.uint8)
        found = []
        for share in self.small.shares:
            gone = Split(*(_replaced(*pair, share, mean) for pair in pairs))
            found.append([self._trained_on(gone, self.small.seed + extra) for extra in range(self.small.seeds)])
        return found

    def _trained_on(self, gone: Split, seed: int) -> float:
        """The accuracy of a network trained on such pictures; several methods may put the same pixels first."""
        pictures = hashlib.sha256(gone.learnt.images.tobytes() + gone.held_out.images.tobytes())
        pictures.update(str(seed).encode())
        if (same := pictures.digest()) not in self._left:
            self._left[same] = accuracy(trained(gone.learnt, self.small, seed), gone.held_out)
        return self._left[same]

    def _accuracies(self) -> dict[str, float]:
        return {
            "true": accuracy(self.first, self.given.held_out),
            "shuffled": accuracy(self._by_heart, self.given.held_out),
            "learnt": accuracy(self._by_heart, self._wrong),
        }

    def _alike(self, method: Method, pictures: int) -> dict[str, list[float]]:
        learnt = self.given.learnt
        few = Pictures(*(part[:pictures] for part in (learnt.images, learnt.answers, learnt.bells)))
        pairs = list(zip(*(_maps(method, network, few) for network in (self.first, self._by_heart)), strict=True))
        return {kind: [similarity(one, other, kind) for one, other in pairs] for kind in ALIKE}


def _maps(method: Method, network: SceneNet, pictures: Pictures) -> NDArray[np.float32]:
    """`n h w`, of the true kinds."""
    classifier = wrap(network, preparation=Preparation(mean=MEAN, std=STD))
    found = []
    with Passes(classifier) as passes:
        for start in range(0, len(pictures.images), _TOGETHER):
            pixels = prepared(pictures.images[start : start + _TOGETHER])
            target = Target.of(pictures.answers[start : start + _TOGETHER].argmax(1).tolist())
            wants = method.wants()
            with passes.shared(pixels, gradients=wants.gradients, layers=wants.layers):
                maps = method(passes, pixels, target)
            found.append(maps.at_pixels(int(pixels.shape[2]), int(pixels.shape[3])).detach().cpu().numpy())
    return np.concatenate(found)


def _replaced(pictures: Pictures, maps: NDArray[np.float32], share: float, colour: NDArray[np.uint8]) -> Pictures:
    """The pictures with the highest pixels of their maps in one colour.

    Of equal values those that come last in reading order go first, as in deletion.
    """
    count, height, width = maps.shape
    order = np.argsort(maps.reshape(count, -1), axis=1, kind="stable")[:, ::-1][:, : round(share * height * width)]
    gone = np.zeros((count, height * width), dtype=bool)
    np.put_along_axis(gone, order, True, axis=1)
    images = np.where(gone.reshape(count, height, width, 1), colour, pictures.images)
    return replace(pictures, images=images)
