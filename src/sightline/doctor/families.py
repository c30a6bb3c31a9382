"""Who is tried where nobody is named: of each family the first method that this network can be explained by."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.attribution.base import Method
from sightline.attribution.table import METHODS
from sightline.types import Pixels

_CANDIDATES: tuple[tuple[str, ...], ...] = (
    ("grad-cam",),
    ("lrp", "attn-lrp", "excitation-backprop"),
    ("gradient",),
    ("attention-relevance", "attention-rollout"),
)
_PARTS = 4
LEFT_OUT = "not tried: families whose methods ask for much (mask, concepts) or join others (combined): name them"


def families(pixels: Pixels) -> Iterator[list[Method]]:
    """One list a family, the preferred method first.

    Args:
        pixels: `b c h w`; windows are as large as a quarter of it, so that few passes are asked for.
    """
    for names in _CANDIDATES:
        yield [METHODS.make(name) for name in names]
    height, width = (max(1, -(-side // _PARTS)) for side in pixels.shape[-2:])
    window = str(height) if height == width else f"({height}, {width})"
    yield [METHODS.make(f"occlusion(window={window}, stride={window})")]
