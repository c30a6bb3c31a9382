"""A small form of the built-in world, in which a network is trained from nothing on one core in some 15 s.

Drawn scenes with one figure at 64 × 64 pixels; `SceneNet` comes to about 0.9 of held-out scenes (chance 0.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sightline.demo.augment import unchanged
from sightline.demo.network import SceneNet
from sightline.demo.scenes import random_spec
from sightline.demo.scoring import prepared
from sightline.demo.train import Recipe, fit, untrained
from sightline.demo.worlds import Pictures, Task, answer, paint

WORLD_SEED = 30_000_001


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


def _one_figure(generator: np.random.Generator) -> Task:
    spec = random_spec(generator)
    return Task(spec, answer(*spec.kinds))
