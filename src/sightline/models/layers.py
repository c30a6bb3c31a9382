"""Layers that a map can be drawn at: found by name, or chosen; the grid of a transformer's tokens.

A layer can be explained at if it runs once in a pass, stands between the picture and the score, and its output is laid
out on a grid over the picture. Where a module runs several times, a module of its own behind the run that is meant,
such as `nn.Identity()`, is a layer that can be named. Grids are of three kinds:

- *channels first* `b K h w` (convolutional networks),
- *channels last* `b h w K` (Swin),
- *tokens* `b n K`, the grid's cells after 0 or more prefix tokens (class, distillation, register tokens); the grid is
  that of the patch embedding, or a halving of it, and the rest of n is the prefix. Where patches are cut by no
  convolution, the first tokens show the grid: as many square patches as cover the picture. Tokens that lie unit by
  unit (Hiera, before its last pooling) are no grid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch

from sightline.errors import LayerError, nearest
from sightline.models.survey import Seen, Survey

_MOST_PREFIX_TOKENS = 16
_ON_LAST_AXIS = ("Linear", "LayerNorm")
_MOST_TRIMMED = 6  # cells that convolutions without padding take from a grid


@dataclass(frozen=True)
class Layer:
    """One place in a network, and how its output lies over the picture."""

    name: str
    kind: str
    layout: Literal["channels-first", "channels-last", "tokens"]
    height: int
    width: int
    prefix: int = 0

    def grid(self, tensor: torch.Tensor) -> torch.Tensor:
        """The layer's output, or a gradient of the same shape, as `b K h w` float32; prefix tokens are left out."""
        if self.layout == "tokens":
            cells = tensor[:, self.prefix :].transpose(1, 2)
            tensor = cells.reshape(len(tensor), -1, self.height, self.width)
        elif self.layout == "channels-last":
            tensor = tensor.permute(0, 3, 1, 2)
        return tensor.float()

    def raw(self, cells: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """The way back from `grid`: cells `m K h w` as the layer gives them; prefix tokens are those of `own`.

        Args:
            cells: what stands on the grid; copied, since what follows the layer may work in place.
            own: the layer's own output, of one picture or of m.
        """
        cells = cells.to(own.dtype, copy=True)
        if self.layout == "tokens":
            prefix = own[:, : self.prefix].expand(len(cells), -1, -1)
            return torch.cat([prefix, cells.flatten(2).transpose(1, 2)], dim=1)
        return cells.permute(0, 2, 3, 1).contiguous() if self.layout == "channels-last" else cells


def candidates(survey: Survey, classes: int) -> list[Layer]:
    """Layers that suit a class activation map, the best first: the last before the picture's grid is given up.

    A layer with one channel a class (the 1 × 1 convolution that ends SqueezeNet) is itself the answer, not the evidence
    for it, and comes last.
    """
    found: list[Layer] = []
    answers: list[Layer] = []
    for seen in reversed(survey.seen):
        layer = layer_of(seen, survey)
        if layer is None or seen.passage or seen.calls > 1:
            continue
        if layer.layout != "channels-first" and seen.part:
            continue
        channels = seen.shape[1] if layer.layout == "channels-first" else seen.shape[-1]
        (answers if channels == classes else found).append(layer)
    return found + answers


def named(survey: Survey, name: str, suggest: Callable[[], str]) -> Layer:
    """The layer of this name; `layer4[-1]` counts from the end.

    Args:
        survey: the layers that ran.
        name: as the user wrote it.
        suggest: which layers work, in words; asked only where there is an error to write.

    Raises:
        LayerError: no such layer, it ran several times or not at all, or its output is on no grid; with candidates.
    """
    seen = survey.find(full_name(name, [known.name for known in survey.seen]))
    if seen is None:
        close = nearest(name, [known.name for known in survey.seen])
        hint = f": did you mean {' or '.join(map(repr, close))}?" if close else f": {suggest()}"
        raise LayerError(f"this network runs no layer {name!r}{hint}")
    layer = layer_of(seen, survey)
    if layer is None:
        shape = "×".join(map(str, seen.shape[1:]))
        raise LayerError(f"layer {seen.name!r} gives {shape}, no grid over the picture: {suggest()}")
    if seen.calls > 1:
        raise LayerError(f"layer {seen.name!r} runs {seen.calls} times in one pass, so it is no one place: {suggest()}")
    return layer


def full_name(name: str, known: Iterable[str]) -> str:
    """`layer4[-1].conv2` with its brackets resolved against the known names."""
    known = list(known)
    while match := re.search(r"\[(-?\d+)\]", name):
        stem = name[: match.start()] + "."
        steps = {other[len(stem) :].split(".")[0] for other in known if other.startswith(stem)}
        numbers = sorted(int(step) for step in steps if step.isdigit())
        index = int(match[1])
        if not -len(numbers) <= index < len(numbers):
            return name
        name = f"{stem}{numbers[index]}{name[match.end() :]}"
    return name


def layer_of(seen: Seen, survey: Survey) -> Layer | None:
    """How a module's output lies over the picture, or none if it does not."""
    shape = seen.shape
    if not shape or shape[0] != survey.pictures:  # windows of a picture, or anything else that is not a picture a row
        return None
    if len(shape) == 4:
        return _layer_of_four(seen, survey)
    if len(shape) == 3 and not _in_mask_units(seen, survey):
        fits = [(shape[1] - height * width, height, width) for height, width in _token_grids(seen, survey)]
        fits = [fit for fit in fits if 0 <= fit[0] <= _MOST_PREFIX_TOKENS and fit[1] * fit[2] > 1]
        if fits:
            prefix, height, width = min(fits, key=lambda fit: fit[0])
            return Layer(seen.name, seen.kind, "tokens", height, width, prefix)
    return None


def _layer_of_four(seen: Seen, survey: Survey) -> Layer | None:
    first, last = (seen.shape[2], seen.shape[3]), (seen.shape[1], seen.shape[2])
    fits = [grid for grid in (first, last) if _lies_over(grid, survey.pixels)]
    if not fits or _between_tokens(seen, survey):
        return None
    best = fits[0]
    if len(fits) == 2 and any(one.kind in _ON_LAST_AXIS and len(one.shape) == 4 for one in survey.seen):
        # Both readings fit, and somewhere this network does work on the last axis.
        best = last if seen.kind in _ON_LAST_AXIS else min(fits, key=lambda grid: _squeezed(grid, survey.pixels))
    return Layer(seen.name, seen.kind, "channels-first" if best == first else "channels-last", *best)


def _in_mask_units(seen: Seen, survey: Survey) -> bool:
    """Whether these tokens may be out of order: Hiera (Ryali et al., ICML 2023) keeps those that it will pool side by
    side, unit by unit, so that only what is left after the last pooling lies row by row."""
    units = [one.shape[1] for one in survey.seen if "MaskUnit" in one.kind and len(one.shape) == 3]
    return bool(units) and seen.shape[1] > min(units)


def _between_tokens(seen: Seen, survey: Survey) -> bool:
    """Whether this is the attention of every token to every other, which lies over the picture by its numbers alone."""
    side = seen.shape[2]
    return side == seen.shape[3] and any(
        len(one.shape) == 3 and one.shape[1] == side and layer_of(one, survey) is not None for one in survey.seen
    )


def _lies_over(grid: tuple[int, int], pixels: tuple[int, int]) -> bool:
    """Whether one step in pixels leads to this many rows and columns, both rounded up or both rounded down.

    Convolutions without padding trim the same number of cells from both.
    """
    (height, width), (rows, columns) = grid, pixels
    if not (1 <= height <= rows and 1 <= width <= columns and height * width > 1):
        return False
    for trim in range(min(height, width, _MOST_TRIMMED) + 1):
        tall, wide = height + trim, width + trim
        down = max(rows / (tall + 1), columns / (wide + 1)) < min(rows / tall, columns / wide)
        most = min(rows / (tall - 1) if tall > 1 else math.inf, columns / (wide - 1) if wide > 1 else math.inf)
        if down or max(rows / tall, columns / wide) < most:
            return True
    return False


def _squeezed(grid: tuple[int, int], pixels: tuple[int, int]) -> float:
    """How far a grid's proportions are from the picture's; 0 where they are the same."""
    return abs(math.log(grid[0] * pixels[1] / (grid[1] * pixels[0])))


def _token_grids(seen: Seen, survey: Survey) -> list[tuple[int, int]]:
    """Grids that tokens may lie on: those of earlier convolutions, the latest first, then halvings of the latest."""
    earlier: list[tuple[int, int]] = []
    for other in survey.seen:
        if other.name == seen.name:
            break
        convolution = "conv" in other.kind.lower() and len(other.shape) == 4 and other.shape[0] == survey.pictures
        if convolution and _lies_over((other.shape[2], other.shape[3]), survey.pixels):
            earlier.insert(0, (other.shape[2], other.shape[3]))
    earlier = earlier or _patch_grids(seen, survey)
    halvings = []
    if earlier:
        height, width = earlier[0]
        while height > 1 or width > 1:
            height, width = (height + 1) // 2, (width + 1) // 2
            halvings.append((height, width))
    return earlier + halvings


def _patch_grids(seen: Seen, survey: Survey) -> list[tuple[int, int]]:
    """The grid of square patches that the first tokens are, `b n K`, or Unfold's `b K n`, with no prefix yet.

    Only where no convolution has worked on the picture, whose outputs tell more than numbers.
    """
    rows, columns = survey.pixels
    for one in survey.seen:
        if one.shape[:1] == (survey.pictures,) and len(one.shape) == 4 and "conv" in one.kind.lower():
            return []
        if one.shape[:1] == (survey.pictures,) and len(one.shape) == 3:
            count = one.shape[2 if one.kind == "Unfold" else 1]
            sides = [side for side in range(1, min(rows, columns) + 1) if rows % side == columns % side == 0]
            return [(rows // side, columns // side) for side in sides if (rows // side) * (columns // side) == count]
        if one.name == seen.name:
            return []
    return []
