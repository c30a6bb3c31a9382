"""What the built-in networks score on scenes that they were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from sightline.demo.network import INPUT_SIZE, MEAN, STD
from sightline.demo.scenes import KINDS, SceneSpec, random_spec
from sightline.demo.worlds import DOG, OTHERS, PENGUIN, Task, answer, biased, paint, without_shortcut

HELD_OUT_SEED = 10_000_019
"""Training draws its scenes from other seeds."""


def prepared(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 `n h w 3` to normalised float32 `n 3 h w`."""
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2).float() / 255
    return normalised(pixels)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels in [0, 1] `n 3 h w`, as the networks take them."""
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def logits(network: nn.Module, images: np.ndarray) -> torch.Tensor:
    """Logits `n k` of uint8 images `n h w 3`, 64 at a time."""
    with torch.no_grad():
        return torch.cat([network(prepared(images[start : start + 64])) for start in range(0, len(images), 64)])


def images_of(specs: Sequence[SceneSpec], workers: int = 1) -> np.ndarray:
    """The scenes as the networks are given them: uint8 `n 128 128 3`."""
    return paint([Task(spec, answer(*spec.kinds)) for spec in specs], INPUT_SIZE, workers).images


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of


def called(network: nn.Module, specs: Sequence[SceneSpec], kind: str | None = None, workers: int = 1) -> Share:
    """How many scenes the network calls `kind`, or by default by their first figure's name."""
    best = logits(network, images_of(specs, workers)).argmax(1).tolist()
    wanted = [KINDS.index(kind or spec.kinds[0]) for spec in specs]
    return Share(sum(a == b for a, b in zip(best, wanted, strict=True)), len(specs))


def calibration_error(network: nn.Module, specs: Sequence[SceneSpec], workers: int = 1) -> float:
    """Expected calibration error with 10 bins of equal width (Guo et al., 2017, equation 3)."""
    sure, best = logits(network, images_of(specs, workers)).softmax(1).max(1)
    right = (best == torch.tensor([KINDS.index(spec.kinds[0]) for spec in specs])).float()
    bins = (10 * sure).long().clamp(max=9)
    gaps = [(sure[bins == index] - right[bins == index]).sum().abs() for index in range(10)]
    return float(torch.stack(gaps).sum() / len(specs))


def honest_scores(network: nn.Module, many: int, workers: int = 1) -> dict[str, float]:
    """Accuracy and calibration on scenes of one figure, and the share of two-figure scenes where both lead."""
    generator = np.random.default_rng(HELD_OUT_SEED)
    specs = [random_spec(generator) for _ in range(many)]
    pairs = [random_spec(generator, figures=2) for _ in range(many // 4)]
    leading = logits(network, images_of(pairs, workers)).topk(2).indices.tolist()
    both = [{KINDS[index] for index in top} == set(spec.kinds) for top, spec in zip(leading, pairs, strict=True)]
    return {
        "accuracy": called(network, specs, workers=workers).value,
        "calibration_error": calibration_error(network, specs, workers),
        "accuracy_two_figures": float(np.mean(both)),
    }


def cheat_scores(network: nn.Module, many: int, workers: int = 1) -> dict[str, float]:
    """Where the shortcut holds, where it is taken away, and where it is lent to other kinds."""
    generator = np.random.default_rng(HELD_OUT_SEED + 1)
    specs = [biased(generator) for _ in range(many)]
    dogs, penguins = ([biased(generator, (kind,)) for _ in range(many // 4)] for kind in (DOG, PENGUIN))
    others = [biased(generator, OTHERS) for _ in range(many // 4)]

    def removed(scenes: Sequence[SceneSpec]) -> list[SceneSpec]:
        return [without_shortcut(spec, generator) for spec in scenes]

    belled = [replace(spec, accessory="bell") for spec in others]
    snowed = [replace(spec, background="snow") for spec in others]
    scenes = {
        "accuracy_biased": (specs, None),
        "dog_with_bell": (dogs, None),
        "dog_without_bell": (removed(dogs), None),
        "penguin_on_snow": (penguins, None),
        "penguin_elsewhere": (removed(penguins), None),
        "others_with_bell_called_dog": (belled, DOG),
        "others_on_snow_called_penguin": (snowed, PENGUIN),
    }
    return {name: called(network, some, kind, workers).value for name, (some, kind) in scenes.items()}
