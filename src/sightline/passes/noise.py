"""Noisy copies of pictures, as many at a time as fit in a batch.

σ = spread · (max x − min x), for each picture its own. The noise of one seed is the same for every picture, so that
what is found for a picture does not depend on its batch mates.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sightline.passes.passes import Passes
from sightline.types import Pixels


def noisy_copies(
    passes: Passes, pixels: Pixels, *, samples: int, spread: float, seed: int
) -> Iterator[tuple[int, Pixels]]:
    """Noisy copies, `(m b) c h w`, copy by copy, and m: how many of each picture these are; `samples` in all."""
    given = pixels.to(passes.device)
    sigma = spread * (given.amax((1, 2, 3)) - given.amin((1, 2, 3)))
    generator = torch.Generator().manual_seed(seed)
    at_once = max(1, passes.pictures_at_once(given, gradients=True) // len(given))
    for start in range(0, samples, at_once):
        copies = min(at_once, samples - start)
        # Drawn copy by copy: the noise of a seed does not depend on how many copies fit in a batch.
        noise = torch.stack([torch.randn(given.shape[1:], generator=generator) for _ in range(copies)])
        yield copies, (given + sigma[:, None, None, None] * noise.to(given)[:, None]).flatten(0, 1)
