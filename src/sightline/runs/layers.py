"""Which layers of a network a map can be drawn at, and which one is chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from sightline.models.catalogue import load
from sightline.models.classifier import wrap
from sightline.models.intake import prepare
from sightline.passes.described import Described, described
from sightline.passes.runner import Runner

_SIDE = 224  # of the picture that is shown to a network without a preparation


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        name: as `layer=` takes it.
        kind: the module's class.
        layout: `channels-first`, `channels-last` or `tokens`.
        channels, height, width: of its output on the grid over the picture.
        sees: rows and columns of the input that a cell in the middle depends on, measured on noise; None for none.
        whole: whether that is the whole input.
        gradient: whether a gradient of the score arrives, without which no class activation map can be drawn.
        default: whether it is chosen where no layer is named.
    """

    name: str
    kind: str
    layout: str
    channels: int
    height: int
    width: int
    sees: tuple[int, int] | None
    whole: bool
    gradient: bool
    default: bool

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "sees": None if self.sees is None else list(self.sees)}


def layers(model: Any, picture: Any = None) -> list[LayerRow]:
    """The layers that a map can be drawn at, the best first.

    Args:
        model: as `sightline.explain` takes it.
        picture: shown to the network; noise of the size that its preparation makes, when left out.

    Raises:
        LayerError: the classifier has no layers, or none that a map can be drawn at.
    """
    classifier = load(model) if isinstance(model, str) else wrap(model)
    shown = _noise() if picture is None else picture
    pixels = prepare(shown, 0, classifier).pixels
    found = described(Runner(classifier, "float32", None, None), pixels)
    return [_row(one, (pixels.shape[-2], pixels.shape[-1])) for one in found]


def _row(one: Described, size: tuple[int, int]) -> LayerRow:
    return LayerRow(
        name=one.layer.name,
        kind=one.layer.kind,
        layout=one.layer.layout,
        channels=one.channels,
        height=one.layer.height,
        width=one.layer.width,
        sees=one.sees,
        whole=one.sees == size,
        gradient=one.gradient,
        default=one.default,
    )


def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8))
