"""Non-negative matrix factorisation: cells as sums of a few parts that are only ever added.

    V ≈ W H,   W ≥ 0, H ≥ 0,   V cells × channels, W cells × concepts, H concepts × channels

Lee, Seung, "Algorithms for Non-negative Matrix Factorization", NeurIPS 2000, equation 4; start, number of steps and
stop are those of Collins, Achanta, Süsstrunk (ECCV 2018): |N(0, 1)| · √(mean V / r), at most 200 steps, and an end
where ten steps lessen the error by less than 1e-4 of what it was at the start. No step makes the error larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.concepts.not_negative import not_negative

ITERATIONS = 200
TOLERANCE = 1e-4
_LOOK = 10  # steps between two looks at the error
_NOTHING = 1e-7  # stands for a divisor that is zero: what it divides is zero too
_LEAST = 1e-150  # of other divisors: what fades out would else be 0 · ∞ once its numbers run out of digits


@dataclass(frozen=True, eq=False)
class Factors:
    """Two factors, concepts with most of the values first, every direction of length 1 (or 0 where it is not used).

    Attributes:
        strengths: W, `n r` float64.
        directions: H, `r K` float64.
        errors: ‖V − W H‖ at the start and at every look.
    """

    strengths: torch.Tensor
    directions: torch.Tensor
    errors: tuple[float, ...]


def factorise(
    values: torch.Tensor, concepts: int, seed: int, *, iterations: int = ITERATIONS, tolerance: float = TOLERANCE
) -> Factors:
    """The factors of values ≥ 0, `n K`; the same every time for one seed."""
    values = values.double()
    generator = torch.Generator().manual_seed(seed)
    scale = (values.mean() / concepts).sqrt()
    rows, columns = (
        torch.randn(shape, generator=generator, dtype=torch.float64).abs().to(values.device) * scale
        for shape in ((len(values), concepts), (concepts, values.shape[1]))
    )
    errors = [_error(values, rows, columns)]
    for step in range(iterations):
        rows = rows * _ratio(values @ columns.T, rows @ (columns @ columns.T))
        columns = columns * _ratio(rows.T @ values, (rows.T @ rows) @ columns)
        if step % _LOOK == 0:
            errors.append(_error(values, rows, columns))
            if not errors[-2] - errors[-1] >= tolerance * errors[0] or errors[0] == 0:
                break
    return _in_order(rows, columns, errors)


def strengths_at(values: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """How strong known concepts are: argmin over W ≥ 0 of ‖V − W H‖, `n K` and `r K` → `n r` float64, exactly.

    Where directions are the same, or almost, the data do not say how their strength is shared out between them.
    """
    return not_negative(directions.double().T, values.double())


def _ratio(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    return above / torch.where(below == 0, _NOTHING, below.clamp(min=_LEAST))


def _error(values: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> float:
    return float(torch.linalg.norm(values - rows @ columns))


def _in_order(rows: torch.Tensor, columns: torch.Tensor, errors: list[float]) -> Factors:
    lengths = torch.linalg.norm(columns, dim=1)
    rows, columns = rows * lengths, columns / torch.where(lengths == 0, 1.0, lengths)[:, None]
    order = rows.square().sum(0).argsort(descending=True, stable=True)
    return Factors(rows[:, order], columns[order], tuple(errors))
