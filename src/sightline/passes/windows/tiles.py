"""Tiles: the changed rectangle of a map, one a window, cut out of the clean map and pasted back into it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from sightline.passes.windows.reach import Integers, Place


@dataclass(frozen=True)
class Padding:
    """Cells around a map, all of one value."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    value: float = 0.0


@dataclass(frozen=True, eq=False)
class Tile:
    """What m windows make of a map where they can change it: `data` `m c height width`, channels last."""

    data: torch.Tensor
    place: Place


@dataclass(eq=False)
class Ground:
    """The clean map `1 c h w` of one node, and its padded forms, made when they are first needed."""

    clean: torch.Tensor
    _padded: dict[Padding, torch.Tensor] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Of the map, without padding."""
        return self.clean.shape[2], self.clean.shape[3]

    def cells(self, padding: Padding) -> torch.Tensor:
        """All cells of the padded map, row by row: `h·w c`."""
        if padding not in self._padded:
            sides = (padding.left, padding.right, padding.top, padding.bottom)
            self._padded[padding] = cells_of(
                F.pad(self.clean, sides, value=padding.value) if any(sides) else self.clean
            )
        return self._padded[padding]


def padded(maps: torch.Tensor, padding: Padding) -> torch.Tensor:
    """Whole maps with padding around them."""
    sides = (padding.left, padding.right, padding.top, padding.bottom)
    return F.pad(maps, sides, value=padding.value) if any(sides) else maps


def cells_of(maps: torch.Tensor) -> torch.Tensor:
    """`m c h w` → `m·h·w c`; no copy where the channels are last."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def cut(ground: Ground, place: Place, padding: Padding = Padding(), tile: Tile | None = None) -> torch.Tensor:
    """The map at a place, `m c height width`: the tile's cells where it lies there, the clean ones around it."""
    width = ground.size[1] + padding.left + padding.right
    down = place.top[:, None] + np.arange(place.height) + padding.top
    across = place.left[:, None] + np.arange(place.width) + padding.left
    wanted = down[:, :, None] * width + across[:, None, :]
    clean = ground.cells(padding)
    if tile is None:
        return _maps(clean, wanted)
    offset = _offset(place, tile.place)
    if offset is not None:
        maps = _maps(clean, wanted)
        return _laid(maps, tile, offset)
    own = _own_cells(place, tile.place)
    return _maps(torch.cat([clean, cells_of(tile.data)]), np.where(own >= 0, own + len(clean), wanted))


def moved(tile: Tile, ground: Ground, place: Place) -> Tile:
    """The same change on larger or other tiles, which hold the old ones."""
    return tile if place.like(tile.place) else Tile(cut(ground, place, tile=tile), place)


def whole(tile: Tile, ground: Ground) -> torch.Tensor:
    """Whole maps, one a window: the clean one with the tile pasted in."""
    nowhere = np.zeros(len(tile.data), np.int64)
    return cut(ground, Place(nowhere, nowhere, *ground.size), tile=tile)


def _maps(cells: torch.Tensor, wanted: Integers) -> torch.Tensor:
    """Chosen cells as maps: indices `m h w` → `m c h w`, channels last."""
    index = torch.from_numpy(wanted.reshape(-1)).to(cells.device)
    return cells.index_select(0, index).view(*wanted.shape, cells.shape[1]).permute(0, 3, 1, 2)


def _offset(place: Place, own: Place) -> tuple[int, int] | None:
    """Where every tile begins inside its place, if that is one and the same for all."""
    down, across = own.top - place.top, own.left - place.left
    if (down != down[0]).any() or (across != across[0]).any():
        return None
    return int(down[0]), int(across[0])


def _laid(maps: torch.Tensor, tile: Tile, offset: tuple[int, int]) -> torch.Tensor:
    """The tiles laid into maps at one offset; what would lie outside is left away."""
    inner, outer = [], []
    for start, own, room in zip(offset, tile.data.shape[2:], maps.shape[2:], strict=True):
        inner.append(slice(max(0, start), max(0, min(start + own, room))))
        outer.append(slice(inner[-1].start - start, max(inner[-1].stop, inner[-1].start) - start))
    maps[:, :, inner[0], inner[1]].copy_(tile.data[:, :, outer[0], outer[1]])
    return maps


def _own_cells(place: Place, own: Place) -> Integers:
    """For every cell of every place the number of the tile's cell that lies there, or a negative number: `m h w`."""
    down = (place.top - own.top)[:, None] + np.arange(place.height)
    across = (place.left - own.left)[:, None] + np.arange(place.width)
    down = np.where((down >= 0) & (down < own.height), down, -1)
    across = np.where((across >= 0) & (across < own.width), across, -1)
    first = np.arange(len(own.top))[:, None, None] * own.cells
    inside = (down[:, :, None] >= 0) & (across[:, None, :] >= 0)
    return np.where(inside, first + down[:, :, None] * own.width + across[:, None, :], -1)
