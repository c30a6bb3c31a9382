"""Least squares whose answers may not be negative, of many right sides at once.

    argmin over x ≥ 0 of ‖A x − b‖

Lawson, Hanson, "Solving Least Squares Problems", 1974, chapter 23, algorithm NNLS. The set of unknowns that are free to
differ from 0 grows by the one with the steepest slope and loses those that would turn negative on the way to the best
answer of the set. Every step lessens the error and there are finitely many sets, so that it ends, and ends at the
minimum. Here every right side keeps a set of its own, and begins with those that the answer without the condition has
above 0; each set that occurs is taken apart once a round, for all right sides that have it.
"""

from __future__ import annotations

import torch

_SLOPE = 1e-11  # slopes below this, for columns and right sides of length 1, are rounding
_RANK = 1e-13  # singular values below this part of the largest are none: of columns that are the same, the shortest x
_ROUNDS = 20  # an unknown; what rounding keeps from settling by then is at its minimum but for rounding


def not_negative(columns: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The best x ≥ 0 of every target.

    Exact: by Karush, Kuhn and Tucker no x can be bettered whose slopes Aᵀ(b − A x) are 0 where x > 0 and not above 0
    elsewhere; here they are so to 1e-10 · ‖column‖ · ‖b‖, however alike the columns are. Columns that are the same
    share their part evenly (the shortest x); a column of zeros gets 0.

    Args:
        columns: A, `m r` float64.
        targets: one b a row, `n m` float64.

    Returns:
        One x a row, `n r` float64.
    """
    lengths, sizes = torch.linalg.norm(columns, dim=0), torch.linalg.norm(targets, dim=1, keepdim=True)
    units = columns / torch.where(lengths == 0, 1.0, lengths)
    basis, units = torch.linalg.qr(units)
    targets = targets / torch.where(sizes == 0, 1.0, sizes) @ basis
    found = _settled(units, targets)
    return found * sizes / torch.where(lengths == 0, 1.0, lengths)


def _settled(columns: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The answers for columns of length 1 or 0 and targets of length at most 1."""
    every = torch.ones((len(targets), columns.shape[1]), dtype=torch.bool, device=targets.device)
    found = _best(columns, targets, every).clamp(min=0)
    free, barred = found > 0, torch.zeros_like(found, dtype=torch.bool)
    left = torch.arange(len(found), device=found.device)
    for _ in range(_ROUNDS * columns.shape[1]):
        if len(left) == 0:
            break
        best = _best(columns, targets[left], free[left])
        negative = free[left] & (best <= 0)
        reached = ~negative.any(1)
        _step(found, free, barred, left[~reached], best[~reached])
        found[left[reached]] = best[reached]
        entered = _enter(columns, targets, found, free, barred, left[reached])
        left = torch.cat([left[~reached], entered])
    return found


def _best(columns: torch.Tensor, targets: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """The shortest x of least error that is 0 where it is not free; each set of free unknowns is taken apart once."""
    sets, which = torch.unique(free, dim=0, return_inverse=True)
    left, sizes, right = torch.linalg.svd(columns * sets[:, None, :], full_matrices=False)
    heard = sizes > _RANK * sizes[:, :1]
    inverse = torch.where(heard, 1 / torch.where(heard, sizes, 1.0), 0.0)
    along = torch.einsum("nm,nmk->nk", targets, left[which]) * inverse[which]
    return torch.einsum("nk,nkr->nr", along, right[which]) * free  # there it is 0 but for rounding


def _step(
    found: torch.Tensor, free: torch.Tensor, barred: torch.Tensor, rows: torch.Tensor, best: torch.Tensor
) -> None:
    """Go towards the best answer of the set until the first unknown is 0, and take that one out."""
    x, inside = found[rows], free[rows]
    share = torch.where(inside & (best <= 0), x / (x - best).clamp(min=torch.finfo(x.dtype).tiny), torch.inf)
    least = share.amin(1, keepdim=True)
    out = share <= least
    # An unknown that came in at 0 and would at once be negative came in by rounding: not again before something moved.
    barred[rows] = torch.where(least > 0, False, barred[rows] | out)
    found[rows] = torch.where(out | ~inside, 0.0, (x + least * (best - x)).clamp(min=0))
    free[rows] = inside & ~out


def _enter(
    columns: torch.Tensor,
    targets: torch.Tensor,
    found: torch.Tensor,
    free: torch.Tensor,
    barred: torch.Tensor,
    rows: torch.Tensor,
) -> torch.Tensor:
    """Let in the unknown with the steepest slope; the rows that had one."""
    slopes = (targets[rows] - found[rows] @ columns.T) @ columns
    slopes = torch.where(free[rows] | barred[rows], 0.0, slopes)
    steepest, place = slopes.max(1)
    more = steepest > _SLOPE
    free[rows[more], place[more]] = True
    return rows[more]
