"""A linear system between the hidden pixels of pictures, on the picture and on coarser and coarser grids.

The system says that every hidden pixel is the weighted mean of its neighbours (`imputation.py`). One cycle nearly
solves it: a sweep of Jacobi, the rest on every other pixel with the operator that bilinear interpolation leaves of the
system, a sweep of Jacobi; on the coarser grids two sweeps, and the coarsest is solved.

W. Briggs, V. Henson and S. McCormick, "A Multigrid Tutorial", 2000; a sweep divides by a share of the row's sum, which
is safe for any mask (A. Baker, R. Falgout, T. Kolev and U. Yang, "Multigrid Smoothers for Ultraparallel Computing",
SIAM Journal on Scientific Computing 2011).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import EllipsisType
from typing import TypeAlias

import torch

_SHARE = 0.55  # of the sum of a row's coefficients, by which a sweep divides: from 1/2 on a sweep can only calm
_DEAD = 1e-4  # a coarse point that moves no hidden pixel: its row is zero
_LIFT = 1e-4  # of the coarsest diagonal: two points that move one and the same pixel make the rest singular
_SOLVED = 200  # points of a grid that is solved at once: 14 × 14 of 224 × 224 pixels

_Part: TypeAlias = tuple[EllipsisType, slice, slice]


class Scratch:
    """Tensors that are used again: on a processor fetching new memory costs more than the sums that fill it."""

    def __init__(self, like: torch.Tensor) -> None:
        self._like = like
        self._kept: dict[tuple[str, tuple[int, ...]], torch.Tensor] = {}

    def __call__(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """A tensor of a shape; what is in it is what the last user of the name and shape left."""
        key = name, tuple(shape)
        if key not in self._kept:
            self._kept[key] = self._like.new_empty(key[1])
        return self._kept[key]


class Grid(ABC):
    """A grid and its operator.

    Attributes:
        size: height and width.
        sweep: `b 1 h w`, a sweep of Jacobi: what it multiplies a residual with.
        scratch: shared by the grids, whose sizes differ.
    """

    size: tuple[int, int]
    sweep: torch.Tensor
    scratch: Scratch

    @abstractmethod
    def rest(self, residual: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """The residual less the operator on values, `b c h w` each; in scratch, until it is asked again."""

    def added(self, values: torch.Tensor, correction: torch.Tensor) -> None:
        """Add a correction to those values that are unknowns of this grid."""
        values.add_(correction)

    def calm(self, values: torch.Tensor, residual: torch.Tensor) -> None:
        """One sweep of Jacobi, in place."""
        values.addcmul_(self.sweep, self.rest(residual, values))


class Picture(Grid):
    """The picture's own pixels: 12 (D − W), rows of known pixels left out.

    Written as a sum of differences of neighbours, so that rounding cannot raise or lower a wide hole as a whole: with
    S = (1 2 1), s its sums of weights and L its differences, S = s + L and 12 (W − D) = s L_x + L_y S_x.

    Args:
        hidden: `b 1 h w`, 1 where hidden and 0 elsewhere.
    """

    def __init__(self, hidden: torch.Tensor) -> None:
        height, width = hidden.shape[2:]
        self.size, self.scratch = (height, width), Scratch(hidden)
        self._hidden = hidden
        self._rows, self._columns = _sums(height).to(hidden)[:, None], _sums(width).to(hidden)
        self.sweep = hidden / (self._rows * self._columns - 4).clamp_min(1)

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """The operator, `b c h w` → `b c h w`, of values that may be other than 0 where they are known; in scratch."""
        return self._pull(values).mul_(self._hidden).neg_()

    def rest(self, residual: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        pull = self._pull(values)
        return torch.addcmul(residual, pull, self._hidden, out=pull)

    def added(self, values: torch.Tensor, correction: torch.Tensor) -> None:
        values.addcmul_(correction, self._hidden)

    def _pull(self, values: torch.Tensor) -> torch.Tensor:
        """12 Σ_j w_ij (x_j − x_i) of every pixel."""
        across = self._differences(values, -1)
        summed = torch.addcmul(across, values, self._columns, out=self.scratch("summed", values.shape))
        return self._differences(summed, -2).addcmul_(across, self._rows)

    def _differences(self, values: torch.Tensor, axis: int) -> torch.Tensor:
        """Σ_j (x_j − x_i) over the neighbours on one axis, nothing beyond its ends."""
        found, last = self.scratch(f"differences {axis}", values.shape), values.shape[axis] - 1
        if last == 0:
            return found.zero_()
        shape = list(values.shape)
        shape[axis] = last
        steps = self.scratch(f"steps {axis}", shape)
        torch.sub(values.narrow(axis, 1, last), values.narrow(axis, 0, last), out=steps)
        after, before = steps.narrow(axis, 1, last - 1), steps.narrow(axis, 0, last - 1)
        torch.sub(after, before, out=found.narrow(axis, 1, last - 1))
        found.narrow(axis, 0, 1).copy_(steps.narrow(axis, 0, 1))
        torch.neg(steps.narrow(axis, last - 1, 1), out=found.narrow(axis, last, 1))
        return found


class Coarse(Grid):
    """Every other point of a finer grid: Pᵀ A P, with A the finer operator and P the bilinear interpolation.

    Neighbours only feel each other, so nine pictures of dots three points apart show every coefficient.
    """

    def __init__(self, finer: Grid) -> None:
        height, width = (-(-length // 2) for length in finer.size)
        self.size, self.scratch = (height, width), finer.scratch
        answers = self._answers(finer)
        down, right = (torch.arange(length, device=answers.device) for length in self.size)
        self._beside: list[tuple[torch.Tensor, _Part, _Part]] = []
        for row, column in ((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)):
            which = (down[:, None] + row) % 3 * 3 + (right + column) % 3
            weight = answers.gather(1, which.expand(len(answers), 1, -1, -1))
            if row == column == 0:
                self._own = weight
            else:
                here, there = _part(row, column), _part(-row, -column)
                self._beside.append((weight[here].contiguous(), here, there))
        row_sum = self._own.abs()
        for weight, here, _ in self._beside:
            row_sum[here] += weight.abs()
        self.sweep = torch.where(row_sum > _DEAD, 1 / (_SHARE * row_sum).clamp_min(_DEAD), 0)

    def _answers(self, finer: Grid) -> torch.Tensor:
        """`b 9 h w`: what the operator makes of dots three points apart, for every place of the dots."""
        down, right = (torch.arange(length, device=finer.sweep.device) % 3 for length in self.size)
        answers = []
        for row in range(3):  # three at a time, like the channels of a picture
            dots = (down[:, None] == row) & (right == torch.arange(3, device=right.device)[:, None, None])
            shown = finer.sweep.new_zeros((len(finer.sweep), 3, *finer.size))
            finer.added(shown, spread(dots[None].to(finer.sweep), finer.size, self.scratch))
            answers.append(-gathered(finer.rest(shown.new_zeros(()), shown), self.scratch))
        return torch.cat(answers, 1)

    def rest(self, residual: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        left = self.scratch("left", values.shape)
        torch.addcmul(residual, self._own, values, value=-1, out=left)
        for weight, here, there in self._beside:
            left[here].addcmul_(weight, values[there], value=-1)
        return left


class Cycle:
    """One cycle of multigrid: nearly the correction that a residual asks for; symmetric, as conjugacy needs."""

    def __init__(self, picture: Picture) -> None:
        self._grids: list[Grid] = [picture]
        while self._grids[-1].size[0] * self._grids[-1].size[1] > _SOLVED:
            self._grids.append(Coarse(self._grids[-1]))
        self._inverse = _inverse(self._grids[-1])

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        """`b c h w` → `b c h w`, in scratch until the next cycle."""
        return self._down(0, residual)

    def _down(self, level: int, residual: torch.Tensor) -> torch.Tensor:
        grid = self._grids[level]
        if level + 1 == len(self._grids):
            return (residual.flatten(2) @ self._inverse).unflatten(2, grid.size)
        sweeps = 1 if level == 0 else 2
        correction = torch.mul(grid.sweep, residual, out=grid.scratch("correction", residual.shape))
        for _ in range(sweeps - 1):
            grid.calm(correction, residual)
        rest = self._down(level + 1, gathered(grid.rest(residual, correction), grid.scratch))
        grid.added(correction, spread(rest, grid.size, grid.scratch))
        for _ in range(sweeps):
            grid.calm(correction, residual)
        return correction


def _inverse(grid: Grid) -> torch.Tensor:
    """`b n n`: the inverse of the operator of a grid of n points, lifted a little so that there is one."""
    points = grid.size[0] * grid.size[1]
    shown = grid.sweep.new_zeros((len(grid.sweep), points, *grid.size))
    grid.added(shown, torch.eye(points, device=shown.device, dtype=shown.dtype).unflatten(1, grid.size)[None])
    matrix = -grid.rest(shown.new_zeros(()), shown).flatten(2)
    own = matrix.diagonal(dim1=1, dim2=2)
    own.mul_(1 + _LIFT).add_((own <= _DEAD).to(own))
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix))


def spread(coarse: torch.Tensor, size: tuple[int, int], scratch: Scratch) -> torch.Tensor:
    """Bilinear interpolation from every other pixel; what lies past the last point shows that point."""
    return _spread(_spread(coarse, -1, size[1], scratch), -2, size[0], scratch)


def gathered(fine: torch.Tensor, scratch: Scratch) -> torch.Tensor:
    """The transpose of `spread`."""
    return _gathered(_gathered(fine, -2, scratch), -1, scratch)


def _spread(coarse: torch.Tensor, axis: int, length: int, scratch: Scratch) -> torch.Tensor:
    shape, last = list(coarse.shape), coarse.shape[axis] - 1
    shape[axis] = length
    fine = scratch("spread", shape)
    even, odd = _even_and_odd(fine, axis)
    even.copy_(coarse)
    torch.lerp(coarse.narrow(axis, 0, last), coarse.narrow(axis, 1, last), 0.5, out=odd.narrow(axis, 0, last))
    if length % 2 == 0:
        odd.narrow(axis, last, 1).copy_(coarse.narrow(axis, last, 1))
    return fine


def _gathered(fine: torch.Tensor, axis: int, scratch: Scratch) -> torch.Tensor:
    even, odd = _even_and_odd(fine, axis)
    coarse, last = scratch("gathered", even.shape).copy_(even), even.shape[axis] - 1
    coarse.narrow(axis, 0, last).add_(odd.narrow(axis, 0, last), alpha=0.5)
    coarse.narrow(axis, 1, last).add_(odd.narrow(axis, 0, last), alpha=0.5)
    if fine.shape[axis] % 2 == 0:
        coarse.narrow(axis, last, 1).add_(odd.narrow(axis, last, 1))
    return coarse


def _even_and_odd(values: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Views of every other place of an axis, from the first and from the second."""
    along = values.movedim(axis, 0)
    return along[::2].movedim(0, axis), along[1::2].movedim(0, axis)


def _part(row: int, column: int) -> _Part:
    """The places of a grid that have a neighbour so many rows and columns further."""
    down, right = (slice(max(0, -step), -step if step > 0 else None) for step in (row, column))
    return ..., down, right


def _sums(length: int) -> torch.Tensor:
    """The sums of (1 2 1) inside an axis."""
    place = torch.arange(length)
    return 4.0 - (place == 0).float() - (place == length - 1).float()
