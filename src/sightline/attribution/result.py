"""What an explanation carries: the map, and all that is needed to judge, draw, keep and repeat it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sightline.attribution.base import Method
from sightline.attribution.kept import keep
from sightline.images.frame import Frame
from sightline.images.load import Picture
from sightline.images.shapes import Point, Region, points, regions
from sightline.images.thresholds import THRESHOLDS, Threshold
from sightline.percent import percent
from sightline.pictures.bars import with_colour_bar
from sightline.pictures.overlay import UNSEEN, overlay
from sightline.pictures.sheets import png
from sightline.pictures.style import PLAIN, Style
from sightline.types import Count

_READABLE_WIDTH = 400  # pixels, for the text around a drawing


@dataclass(frozen=True)
class Explained:
    """The target of one picture, in words and numbers.

    Attributes:
        index: of the class.
        label: its name, or `A vs B`.
        score: the explained scalar at the picture: the network's own score, or the difference of two.
        probability: of the class; for a contrast, of A given that it is A or B.
        against: index of the class it is compared with, if any.
    """

    index: int
    label: str
    score: float
    probability: float
    against: int | None = None


@dataclass(frozen=True)
class Prediction:
    """One class that the network considers, and its probability."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Origin:
    """Where an explanation comes from: enough to repeat it."""

    classifier: str
    weights_sha256: str | None
    preparation: Mapping[str, Any] | None
    head: str
    precision: str
    device: str
    versions: Mapping[str, str]
    runtime: str = "torch"
    """What answered the questions that need no gradient: torch, or a compiled program, or why there was none."""
    numbers: str = "float32"
    """What the passes behind the map computed in, whatever `precision` was asked for: `float32`, `bfloat16`, `float32,
    back in bfloat16`, several of them, or what the network's own weights are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Attribution:
    """One map: one picture, one target, one method.

    Attributes:
        map: `h w` float32, raw and signed, in the frame of the network's input.
        channels: `c h w` float32 before the channels were summed, where the method has a value for each channel.
        picture: upright, as a person sees it.
        pixels: `1 c h w`, what the network was given.
        frame: where the network's input lies in the picture.
        method: the frozen value that made the map; `method.name`, `str(method)`.
        target: what was explained.
        predictions: the network's strongest classes, best first.
        layer: the layer that was looked at, if any.
        passes: forward and backward passes for this picture, the shared clean pass included; a gradient that a method
            before this one took is shared, too, and counted there.
        seconds: for this picture, the shared clean pass not included.
        warnings: what the user must know before believing the map.
        numbers: what else the method measured, such as `completeness_error`.
        arrays: what else the method saw, such as the label map under occlusion.
        names: class index → name, of the classes that the arrays tell of.
        origin: network, preparation, versions; the precision that was asked for, and the numbers that passes were in.
    """

    map: NDArray[np.float32]
    picture: Picture
    pixels: torch.Tensor
    frame: Frame
    method: Method
    target: Explained
    predictions: tuple[Prediction, ...]
    passes: Count
    seconds: float
    origin: Origin
    channels: NDArray[np.float32] | None = None
    layer: str | None = None
    warnings: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def picture_map(self) -> NDArray[np.float32]:
        """The map in the frame of the picture, `H W` float32; 0 where the network did not look."""
        return self.frame.to_picture(self.map)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """Where the network looked, `H W`."""
        return self.frame.seen()

    def mask(self, threshold: str | Threshold = "otsu") -> NDArray[np.bool_]:
        """What the map shows as booleans `H W` of the picture: where it is positive and not below the threshold."""
        return THRESHOLDS.make(threshold).mask(self.picture_map, self.seen)

    def boxes(self, threshold: str | Threshold = "otsu", most: int = 10) -> list[Region]:
        """Boxes of the picture around the parts of `mask` that hang together, those with most of the map first."""
        return regions(self.mask(threshold), np.where(self.seen, self.picture_map, 0), most)

    def points(self, most: int = 1, apart: float | None = None) -> list[Point]:
        """Where the map is highest, in the picture; `apart` pixels from each other (a tenth of the longer side)."""
        return points(np.where(self.seen, self.picture_map, 0), most, apart)

    @property
    def completeness_error(self) -> float | None:
        """Sum of the map minus the difference of scores it should sum to; None where nothing of the kind is claimed."""
        return self.numbers.get("completeness_error")

    def overlay(self, style: Style = PLAIN) -> NDArray[np.uint8]:
        """The map over the picture, uint8 `H W 3`, on the map's own scale."""
        scale = style.scale(self.picture_map, self.seen)
        return overlay(self.picture.rgb, self.picture_map, style, scale, self.seen)

    def to_pil(self, style: Style = PLAIN) -> Image.Image:
        """The overlay with its colour bar and scale, as one Pillow image; a small picture is enlarged to be read."""
        scale = style.scale(self.picture_map, self.seen)
        note = "" if self.seen.all() else UNSEEN
        drawn = Image.fromarray(self.overlay(style))
        if (times := _READABLE_WIDTH // drawn.width) > 1:
            drawn = drawn.resize((drawn.width * times, drawn.height * times), Image.Resampling.BICUBIC)
        return with_colour_bar(np.asarray(drawn), scale, style.table(scale), self.title, note, self.units)

    @property
    def units(self) -> str:
        """What the numbers of the map are in, as a drawing's scale says it."""
        if not self.method.traits.complete:
            return "in the method's own units"
        return f"{'probability' if getattr(self.method, 'score', '') == 'probability' else 'score'} per pixel"

    @property
    def title(self) -> str:
        """One line above a drawing."""
        return f"{self.target.label} {percent(self.target.probability)} · {self.method}"

    def show(self, style: Style = PLAIN) -> None:
        """Show the drawing: in the notebook, else in the system's picture viewer."""
        try:
            from IPython import get_ipython  # type: ignore[import-not-found,unused-ignore]
            from IPython.display import display  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            self.to_pil(style).show(title=self.title)
            return
        if get_ipython() is None:
            self.to_pil(style).show(title=self.title)
        else:
            display(self.to_pil(style))

    def record(self) -> dict[str, Any]:
        """Everything but the arrays, as plain JSON values: one record of the manifest."""
        target: dict[str, Any] = {
            "index": self.target.index,
            "label": self.target.label,
            "score": self.target.score,
            "probability": self.target.probability,
        }
        if self.target.against is not None:
            target["against"] = self.target.against
        return {
            "picture": self.picture.name,
            "sha256": self.picture.sha256,
            "size": list(self.picture.size),
            "orientation": self.picture.orientation,
            "notes": list(self.picture.notes),
            "model": self.origin.classifier,
            "weights_sha256": self.origin.weights_sha256,
            "preparation": dict(self.origin.preparation) if self.origin.preparation is not None else None,
            "head": self.origin.head,
            "method": self.method.describe(),
            "layer": self.layer,
            "target": target,
            "predictions": [vars(prediction) for prediction in self.predictions],
            "passes": {"forward": self.passes.forward, "backward": self.passes.backward},
            "seconds": round(self.seconds, 4),
            "numbers": dict(self.numbers),
            "warnings": list(self.warnings),
            "precision": self.origin.precision,
            "computed_in": self.origin.numbers,
            "device": self.origin.device,
            "runtime": self.origin.runtime,
            "versions": dict(self.origin.versions),
        }

    def save(self, place: str | Path) -> Path:
        """Keep the drawing, the raw map, or all of it.

        Args:
            place: `dog.png` (or .jpg, .webp) for the drawing with its colour bar, `dog.npy` for the raw map; a name
                without a suffix, or a folder that is there, for everything: `map.npy`, `overlay.png` in the picture's
                frame, `attribution.json`.

        Returns:
            where it was written.

        Raises:
            UsageError: another suffix, or a place that cannot be written.
        """
        return keep(self, Path(place))

    def _repr_html_(self) -> str:
        image = base64.b64encode(png(np.asarray(self.to_pil()))).decode()
        warnings = "".join(f"<li>{html.escape(warning)}</li>" for warning in self.warnings)
        return (
            f'<figure><img alt="{html.escape(self.title)}" src="data:image/png;base64,{image}">'
            f"<figcaption>{html.escape(self.picture.name)}: {html.escape(self.title)}</figcaption>"
            + (f"<ul>{warnings}</ul>" if warnings else "")
            + "</figure>"
        )

    def __repr__(self) -> str:
        height, width = self.map.shape
        return f"<Attribution {self.picture.name}: {self.title}, {height}×{width}>"
