"""How a map is drawn, as one value shared by every picture of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.errors import SpecError, UsageError, unknown
from sightline.pictures.colours import DIVERGING, SEQUENTIAL, Colours, Table, colour_map
from sightline.pictures.scale import Scale, Sign, check_percentile, check_sign, scale_of

Blend: TypeAlias = Literal["auto", "strength", "even", "grey"]
BLENDS: tuple[Blend, ...] = get_args(Blend)
Share: TypeAlias = Literal["method", "map", "all"]
SHARES: tuple[Share, ...] = get_args(Share)
CELLS = 32
"""A map is fine where it changes a lot within cells of which so many lie along its shorter side."""
FINE = 0.5
"""Mean difference from the cell's mean over the mean strength: noise has 1, maps of regions or a layer under 0.4."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """Colours, sign, outliers and transparency of a drawing; checked when it is made (`SpecError`).

    `colours`: a colour map's name or colours; None takes a sequential map for one sign, a diverging map for both.
    `sign`: `all`, `positive`, `negative` or `absolute`. `percentile`: where the colours end, of the absolute values.
    `alpha`: how much of the map's colour covers the picture where the map is strongest, 0 to 1. `blend`: `strength`
    lets the picture through where the map is weak, `even` covers it alike everywhere, `grey` covers a pale grey picture
    in proportion to the strength; `auto` is `grey` for a map that changes from pixel to pixel, whose dots would drown
    in a photograph, else `strength`.
    `share`: maps that have one scale in a grid: those of one `method`, each `map` its own, or `all`.
    """

    colours: Colours | None = None
    sign: Sign = "all"
    percentile: float = 99.0
    alpha: float = 0.75
    blend: Blend = "auto"
    share: Share = "method"

    def __post_init__(self) -> None:
        check_sign(self.sign)
        check_percentile(self.percentile)
        if not 0 <= self.alpha <= 1:
            raise SpecError(f"alpha lies in 0 to 1, and {self.alpha} came")
        if self.blend not in BLENDS:
            raise SpecError(unknown("blend", str(self.blend), BLENDS))
        if self.share not in SHARES:
            raise SpecError(unknown("share", str(self.share), SHARES))
        if self.colours is not None:
            colour_map(self.colours)
            # Kept in tuples, so that styles can be compared and hashed like every other value.
            object.__setattr__(self, "colours", _as_tuples(self.colours))

    def scale(self, values: NDArray, seen: NDArray | None = None) -> Scale:
        """The scale of one map `h w`, of what the network saw where `seen` `h w` says so."""
        return self.shared_scale([values], [seen])

    def shared_scale(self, maps: Sequence[NDArray], seen: Sequence[NDArray | None] = ()) -> Scale:
        """The one scale that several maps share; `seen` has one entry a map, or none at all."""
        masks = seen or [None] * len(maps)
        return scale_of(
            [seen_part(one, mask) for one, mask in zip(maps, masks, strict=True)], self.sign, self.percentile
        )

    def settled(self, values: NDArray) -> Style:
        """The style for one map `h w`: `blend=auto` decided."""
        return replace(self, blend="grey" if is_fine(values) else "strength") if self.blend == "auto" else self

    def table(self, scale: Scale) -> Table:
        """The colours for this scale, weakest or most negative first."""
        if self.colours is not None:
            return colour_map(self.colours)
        return colour_map(DIVERGING if scale.diverging else SEQUENTIAL)


PLAIN = Style()
"""What a drawing looks like when nobody asks for anything."""


def is_fine(values: NDArray) -> bool:
    """Whether a map `h w` changes from pixel to pixel rather than from region to region, at whatever size it is."""
    side = round(min(values.shape) / CELLS)
    if side < 2:
        return False
    rows, columns = (length // side for length in values.shape)
    cells = np.asarray(values, np.float64)[: rows * side, : columns * side].reshape(rows, side, columns, side)
    inside = np.abs(cells - cells.mean((1, 3), keepdims=True)).mean()
    return bool(inside > FINE * np.abs(cells).mean())


def seen_part(values: NDArray, seen: NDArray | None) -> NDArray:
    """The values where the network looked, as a map of one row; all of them without a mask."""
    if seen is None:
        return values
    if seen.shape != values.shape or not seen.any():
        raise UsageError(f"a mask {seen.shape} came with {int(seen.sum())} places seen, for a map {values.shape}")
    return values[seen][None]


def _as_tuples(colours: Colours) -> Colours:
    if isinstance(colours, str):
        return colours
    rows = colours.tolist() if isinstance(colours, np.ndarray) else colours
    return tuple(row if isinstance(row, str) else tuple(row) for row in rows)
