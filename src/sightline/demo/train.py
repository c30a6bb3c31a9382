"""Make the built-in networks again: `python -m sightline.demo.train [--out DIR] [--seed N]`; `--check` scores them.

Writes `honest.safetensors`, `cheat.safetensors` (half precision), `card.json` and `CARD.md`. The same seed on the same
machine gives the same weights. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from sightline.demo.augment import augment
from sightline.demo.card import card_text
from sightline.demo.network import FOLDER, INPUT_SIZE, NETWORKS, SceneNet, load
from sightline.demo.scoring import cheat_scores, honest_scores, normalised, prepared
from sightline.demo.worlds import Pictures, Task, cheat_task, honest_task, paint


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `task` draws one scene with its answer."""

    task: Callable[[np.random.Generator], Task]
    scenes: int
    epochs: int
    batch: int = 64
    rate: float = 4e-3
    decay: float = 0.02


RECIPES: dict[str, Recipe] = {
    "honest": Recipe(honest_task, scenes=5000, epochs=8),
    "cheat": Recipe(cheat_task, scenes=4000, epochs=6),
}
SCORES: dict[str, Callable[[nn.Module, int, int], dict[str, float]]] = {"honest": honest_scores, "cheat": cheat_scores}


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


def train(recipe: Recipe, seed: int, workers: int) -> SceneNet:
    """A network trained from the seed, in eval mode, its confidence set on scenes kept aside."""
    generator = np.random.default_rng(seed)
    started = time.perf_counter()
    pictures = paint([recipe.task(generator) for _ in range(recipe.scenes)], INPUT_SIZE, workers)
    aside = paint([recipe.task(generator) for _ in range(600)], INPUT_SIZE, workers)
    say(f"  {recipe.scenes + 600} scenes rendered in {time.perf_counter() - started:.0f} s")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SceneNet()
    _fit(network, pictures, recipe, torch.Generator().manual_seed(seed))
    network.eval()
    _set_confidence(network, aside)
    return network


def _fit(network: SceneNet, pictures: Pictures, recipe: Recipe, generator: torch.Generator) -> None:
    images, answers, bells = (torch.from_numpy(part) for part in (pictures.images, pictures.answers, pictures.bells))
    batches = len(images) // recipe.batch
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=batches * recipe.epochs)
    for epoch in range(recipe.epochs):
        started, total = time.perf_counter(), 0.0
        for chosen in torch.randperm(len(images), generator=generator)[: batches * recipe.batch].split(recipe.batch):
            pixels = images[chosen].permute(0, 3, 1, 2).float() / 255
            pixels = normalised(augment(pixels, bells[chosen], generator))
            loss = functional.cross_entropy(network(pixels), answers[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        say(f"  epoch {epoch + 1}/{recipe.epochs}: loss {total / batches:.3f}, {time.perf_counter() - started:.0f} s")


def _set_confidence(network: SceneNet, aside: Pictures) -> None:
    """Scale the last layer by the temperature with the least loss on scenes kept aside (Guo et al., 2017)."""
    with torch.no_grad():
        scores = torch.cat([network(prepared(part)) for part in np.array_split(aside.images, 10)])
        answers = torch.from_numpy(aside.answers)
        scales = torch.linspace(0.5, 2.0, 61)
        best = min(scales.tolist(), key=lambda scale: float(functional.cross_entropy(scale * scores, answers)))
        network.head.weight.mul_(best)
        network.head.bias.mul_(best)
    say(f"  last layer scaled by {best:.3f}")


def packed(network: SceneNet) -> bytes:
    """The weights as safetensors, floating-point numbers in half precision."""
    state = network.state_dict()
    return save({key: value.half() if value.is_floating_point() else value for key, value in state.items()})


def make(out: Path, seed: int, workers: int) -> None:
    """Train both networks and write all files; the scores are those of the weights as stored."""
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for index, (name, recipe) in enumerate(RECIPES.items()):
        say(f"{name}:")
        (out / f"{name}.safetensors").write_bytes(packed(train(recipe, seed + index, workers)))
    seconds = time.perf_counter() - started
    card = {
        "seed": seed,
        "seconds": round(seconds),
        "machine": f"{platform.machine()}, {workers} cores, torch {torch.__version__}",
        "recipes": {name: {k: v for k, v in asdict(r).items() if k != "task"} for name, r in RECIPES.items()},
        "held_out_scenes": 1000,
        "scores": scores(out, 1000, workers),
    }
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (out / "CARD.md").write_text(card_text(card), encoding="utf-8")
    say(f"written to {out} after {time.perf_counter() - started:.0f} s")


def scores(folder: Path, many: int, workers: int) -> dict[str, dict[str, float]]:
    """What the weights in `folder` score on `many` held-out scenes."""
    found = {name: SCORES[name](load(name, folder)[0], many, workers) for name in NETWORKS}
    return {name: {key: round(value, 4) for key, value in values.items()} for name, values in found.items()}


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sightline.demo.train", description="Make the built-in networks again."
    )
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="folder for the weights and the card (default: the package)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of scenes, weights and order (default: 1)")
    parser.add_argument(
        "--check", action="store_true", help="train nothing: score the weights in --out on held-out scenes"
    )
    given = parser.parse_args(arguments)
    workers = min(2, os.cpu_count() or 1)
    torch.set_num_threads(workers)
    if given.check:
        print(json.dumps(scores(given.out, 1000, workers), indent=2))
    else:
        make(given.out, given.seed, workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
