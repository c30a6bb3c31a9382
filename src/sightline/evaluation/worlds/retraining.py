"""What only training again can tell, on a small form of the built-in world: ROAR, and random labels.

The small form: drawn scenes with one figure at 64 × 64 pixels, `SceneNet` trained from nothing on one core in some
15 s, to about 0.9 of held-out scenes (chance 0.1).

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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.attribution.base import Method
from sightline.demo.augment import unchanged
from sightline.demo.network import MEAN, STD, SceneNet
from sightline.demo.scenes import random_spec
from sightline.demo.scoring import prepared
from sightline.demo.train import Recipe, fit, untrained
from sightline.demo.worlds import Pictures, Task, answer, paint
from sightline.evaluation.similarity import Similarity, similarity
from sightline.images.prepare import Preparation
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes

WORLD_SEED = 30_000_001
ALIKE: tuple[Similarity, ...] = ("spearman", "absolute-spearman", "ssim", "hog")
LABELLED = 32
"""Pictures on which maps are held against those of the network with random labels."""
LEARN_BY_HEART = 3
"""Times as many rounds: shuffled labels can only be learnt by heart."""
_TOGETHER = 32
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Small:
    """The small form of the world, and how a network is trained on it."""

    scenes: int = 1000
    held_out: int = 300
    size: int = 64
    epochs: int = 8
    seeds: int = 1
    shares: tuple[float, ...] = (0.1, 0.3, 0.5)
    seed: int = 0

    @property
    def recipe(self) -> Recipe:
        """Smaller batches than the built-in networks had, since there are fewer pictures."""
        return Recipe("again", _one_figure, scenes=self.scenes, epochs=self.epochs, batch=32)


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures to learn from and pictures to be judged on."""

    learnt: Pictures
    held_out: Pictures


def split(small: Small) -> Split:
    """The pictures of the small world, drawn from its seed."""
    generator = np.random.default_rng([WORLD_SEED, small.seed])
    tasks = [_one_figure(generator) for _ in range(small.scenes + small.held_out)]
    return Split(paint(tasks[: small.scenes], small.size), paint(tasks[small.scenes :], small.size))


def trained(pictures: Pictures, small: Small, seed: int) -> SceneNet:
    """A network trained from nothing, in eval mode."""
    network = untrained(seed).train()
    fit(network, pictures, small.recipe, torch.Generator().manual_seed(seed), unchanged, lambda _: None)
    return network.eval()


def accuracy(network: SceneNet, pictures: Pictures) -> float:
    """The share of pictures that are called by their kind."""
    with torch.no_grad():
        best = network(prepared(pictures.images)).argmax(1).numpy()
    return float((best == pictures.answers.argmax(1)).mean())


def roar(methods: Sequence[Method], small: Small, say: Say = lambda _: None) -> dict[str, dict[float, list[float]]]:
    """Accuracy after training again, for each method and each share of pixels, one value a seed.

    The row `whole` has the accuracy with nothing replaced, at share 0. Costs, for each method, its passes for every
    picture, and one training for each share and seed.

    Raises:
        NotSupportedError: a method that is not defined for the network.
    """
    given = split(small)
    first = trained(given.learnt, small, small.seed)
    mean = given.learnt.images.mean((0, 1, 2)).round().astype(np.uint8)
    found: dict[str, dict[float, list[float]]] = {"whole": {0.0: [accuracy(first, given.held_out)]}}
    for extra in range(1, small.seeds):
        found["whole"][0.0].append(accuracy(trained(given.learnt, small, small.seed + extra), given.held_out))
    say(f"ROAR: {found['whole'][0.0][0]:.2f} with whole pictures")
    for method in methods:
        maps = [_maps(method, first, pictures) for pictures in (given.learnt, given.held_out)]
        row = found[str(method)] = {}
        for share in small.shares:
            gone = Split(
                *(_replaced(*one, share, mean) for one in zip((given.learnt, given.held_out), maps, strict=True))
            )
            row[share] = [
                accuracy(trained(gone.learnt, small, small.seed + extra), gone.held_out) for extra in range(small.seeds)
            ]
        say(f"ROAR: {method}: " + ", ".join(f"{np.mean(left):.2f} without {share:.0%}" for share, left in row.items()))
    return found


def random_labels(
    methods: Sequence[Method], small: Small, pictures: int = LABELLED, say: Say = lambda _: None
) -> tuple[dict[str, float], dict[str, Mapping[str, list[float]]]]:
    """How alike the maps of a network are to those of one that learnt shuffled labels.

    Returns:
        the accuracies (`true` and `shuffled` on held-out pictures, `learnt` on the shuffled labels themselves), and for
        each method how alike the two maps of each picture are (`sightline.evaluation.similarity`).
    """
    given = split(small)
    shuffled = np.random.default_rng([WORLD_SEED, small.seed, 1]).permutation(len(given.learnt.answers))
    wrong = replace(given.learnt, answers=given.learnt.answers[shuffled])
    networks = (
        trained(given.learnt, small, small.seed),
        trained(wrong, replace(small, epochs=LEARN_BY_HEART * small.epochs), small.seed),
    )
    scored = {"true": accuracy(networks[0], given.held_out), "shuffled": accuracy(networks[1], given.held_out)}
    scored["learnt"] = accuracy(networks[1], wrong)
    say("random labels: " + ", ".join(f"{name} {value:.2f}" for name, value in scored.items()))
    few = Pictures(*(part[:pictures] for part in (given.learnt.images, given.learnt.answers, given.learnt.bells)))
    found: dict[str, Mapping[str, list[float]]] = {}
    for method in methods:
        pairs = list(zip(*(_maps(method, network, few) for network in networks), strict=True))
        found[str(method)] = {kind: [similarity(one, other, kind) for one, other in pairs] for kind in ALIKE}
        say(f"random labels: {method}: " + ", ".join(f"{k} {np.mean(v):.2f}" for k, v in found[str(method)].items()))
    return scored, found


def trained_again(methods: Sequence[Method], small: Small, say: Say = lambda _: None) -> dict[str, Any]:
    """Both tests, as plain JSON values."""
    left = roar(methods, small, say)
    scored, alike = random_labels(methods, small, say=say)
    return {
        "settings": asdict(small) | {"shares": list(small.shares)},
        "roar": {name: {str(share): values for share, values in row.items()} for name, row in left.items()},
        "accuracy": scored,
        "random labels": {name: dict(row) for name, row in alike.items()},
    }


def _one_figure(generator: np.random.Generator) -> Task:
    spec = random_spec(generator)
    return Task(spec, answer(*spec.kinds))


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
