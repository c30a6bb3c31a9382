"""Make the built-in networks again: `python -m sightline.demo.train [--out DIR] [--seed N]`; `--check` scores them.

Writes `honest.safetensors`, `cheat.safetensors` (half precision), `card.json` and `CARD.md`. The same seed on the same
machine gives the same weights. The two are trained side by side, each on one core, in about ten minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
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
    """How a network is trained; `task` draws one scene with its answer, `aside` scenes set its confidence."""

    name: str
    task: Callable[[np.random.Generator], Task]
    scenes: int
    epochs: int
    aside: int = 600
    batch: int = 64
    rate: float = 4e-3
    decay: float = 0.02


RECIPES: dict[str, Recipe] = {
    "honest": Recipe("honest", honest_task, scenes=5000, epochs=8),
    "cheat": Recipe("cheat", cheat_task, scenes=5000, epochs=8),
}
WORKERS = 2
"""How many processes render the scenes that the networks are scored on."""
SCORES: dict[str, Callable[[nn.Module, int, int], dict[str, float]]] = {"honest": honest_scores, "cheat": cheat_scores}


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


def train(recipe: Recipe, seed: int) -> SceneNet:
    """A network trained from the seed, in eval mode, its confidence set on scenes kept aside."""
    generator = np.random.default_rng(seed)
    started = time.perf_counter()
    pictures = paint([recipe.task(generator) for _ in range(recipe.scenes)], INPUT_SIZE)
    aside = paint([recipe.task(generator) for _ in range(recipe.aside)], INPUT_SIZE)
    say(f"{recipe.name}: {recipe.scenes + recipe.aside} scenes rendered in {time.perf_counter() - started:.0f} s")
    network = untrained(seed).train()
    fit(network, pictures, recipe, torch.Generator().manual_seed(seed))
    network.eval()
    say(f"{recipe.name}: last layer scaled by {_set_confidence(network, aside):.3f}")
    return network


def untrained(seed: int) -> SceneNet:
    """The network as training begins, in eval mode; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SceneNet().eval()


def fit(
    network: SceneNet,
    pictures: Pictures,
    recipe: Recipe,
    generator: torch.Generator,
    change: Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor] = augment,
    tell: Callable[[str], object] = say,
) -> None:
    """Train a network in place on pictures, which are changed on the way (`demo.augment`); a line told each round."""
    images, answers, bells = (torch.from_numpy(part) for part in (pictures.images, pictures.answers, pictures.bells))
    batches = len(images) // recipe.batch
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=batches * recipe.epochs)
    for epoch in range(recipe.epochs):
        started, total = time.perf_counter(), 0.0
        for chosen in torch.randperm(len(images), generator=generator)[: batches * recipe.batch].split(recipe.batch):
            pixels = images[chosen].permute(0, 3, 1, 2).float() / 255
            pixels = normalised(change(pixels, bells[chosen], generator))
            loss = functional.cross_entropy(network(pixels), answers[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - started
        tell(f"{recipe.name}: round {epoch + 1}/{recipe.epochs}, loss {total / batches:.3f}, {seconds:.0f} s")


def _set_confidence(network: SceneNet, aside: Pictures) -> float:
    """Scale the last layer by the temperature with the least loss on scenes kept aside (Guo et al., 2017)."""
    with torch.no_grad():
        scores = torch.cat([network(prepared(part)) for part in np.array_split(aside.images, 10)])
        answers = torch.from_numpy(aside.answers)
        scales = torch.linspace(0.5, 2.0, 61)
        best = min(scales.tolist(), key=lambda scale: float(functional.cross_entropy(scale * scores, answers)))
        network.head.weight.mul_(best)
        network.head.bias.mul_(best)
    return best


def packed(network: SceneNet) -> bytes:
    """The weights as safetensors, floating-point numbers in half precision."""
    state = network.state_dict()
    return save({key: value.half() if value.is_floating_point() else value for key, value in state.items()})


def _train_one(job: tuple[str, int]) -> bytes:
    """The packed weights of one network, made on one core."""
    name, seed = job
    torch.set_num_threads(1)
    return packed(train(RECIPES[name], seed))


def make(out: Path, seed: int) -> None:
    """Train both networks and write all files; the scores are those of the weights as stored."""
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    jobs = [(name, seed + index) for index, name in enumerate(RECIPES)]
    with multiprocessing.get_context("spawn").Pool(len(jobs)) as pool:
        for (name, _), weights in zip(jobs, pool.map(_train_one, jobs, chunksize=1), strict=True):
            (out / f"{name}.safetensors").write_bytes(weights)
    seconds = time.perf_counter() - started
    card = {
        "seed": seed,
        "seconds": round(seconds),
        "machine": f"{platform.machine()}, {len(jobs)} cores, torch {torch.__version__}",
        "weights": sum(part.numel() for part in SceneNet().parameters()),
        "recipes": {
            name: {k: v for k, v in asdict(r).items() if k not in ("name", "task")} for name, r in RECIPES.items()
        },
        "held_out_scenes": 1000,
        "scores": scores(out, 1000),
    }
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (out / "CARD.md").write_text(card_text(card), encoding="utf-8")
    say(f"written to {out} after {time.perf_counter() - started:.0f} s")


def scores(folder: Path, many: int) -> dict[str, dict[str, float]]:
    """What the weights in `folder` score on `many` held-out scenes."""
    found = {name: SCORES[name](load(name, folder)[0], many, WORKERS) for name in NETWORKS}
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
    torch.set_num_threads(WORKERS)
    if given.check:
        print(json.dumps(scores(given.out, 1000), indent=2))
    else:
        make(given.out, given.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
