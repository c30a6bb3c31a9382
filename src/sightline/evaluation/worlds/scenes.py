"""Which scenes of the built-in world a benchmark shows, drawn from a seed. No torch here.

Every scene of one figure is one where the cheat's shortcut holds: the honest and the cheating network both name its
kind, for different reasons. A dog wears a bell, a penguin stands on snow, others have neither. A pair shows two kinds
and no shortcut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from sightline.demo.scenes import SceneSpec, random_spec
from sightline.demo.worlds import DOG, NO_BELL, NOT_SNOW, OTHERS, PENGUIN, biased

Sort: TypeAlias = Literal["bell", "snow", "plain", "pair"]
SORTS: tuple[Sort, ...] = ("bell", "snow", "plain", "pair")
BENCHMARK_SEED = 20_000_003
"""Training and its held-out scenes are drawn from other seeds."""
_KINDS: dict[Sort, tuple[str, ...]] = {"bell": (DOG,), "snow": (PENGUIN,), "plain": OTHERS}


def scenes(sort: Sort, seed: int) -> Iterator[SceneSpec]:
    """Scenes without end; a longer draw begins with a shorter one.

    Args:
        sort: `bell`: a dog with a bell; `snow`: a penguin on snow; `plain`: another kind, no shortcut; `pair`: two
            kinds, no bell, not on snow.
        seed: of the draw.
    """
    generator = np.random.default_rng([BENCHMARK_SEED + SORTS.index(sort), seed])
    while True:
        if sort == "pair":
            yield random_spec(generator, OTHERS, NOT_SNOW, NO_BELL, figures=2)
        else:
            yield biased(generator, _KINDS[sort])
