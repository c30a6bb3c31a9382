"""Deep feature factorisation written out from its paper: nothing of Sightline in here."""

from __future__ import annotations

import torch

from parity.authors_cams import exchanged, inside
from parity.rows import Case

CONCEPTS = 5


def factorised(cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lee and Seung's steps as in the paper: 200, or until ten of them bring less than 10⁻⁴ of the first error."""
    generator = torch.Generator().manual_seed(0)
    start = (cells.mean() / CONCEPTS).sqrt()
    sizes = ((len(cells), CONCEPTS), (CONCEPTS, cells.shape[1]))
    w, h = (torch.randn(size, generator=generator, dtype=torch.float64).abs() * start for size in sizes)
    first = last = float((cells - w @ h).norm())
    for step in range(200):
        w = w * (cells @ h.T) / (w @ h @ h.T).clamp(min=1e-300)
        h = h * (w.T @ cells) / (w.T @ w @ h).clamp(min=1e-300)
        if step % 10 == 0:
            error = float((cells - w @ h).norm())
            if last - error < 1e-4 * first:
                break
            last = error
    return w, h


def deep_feature_factorisation(case: Case) -> torch.Tensor:
    """What each of five concepts adds to the logit, laid on the cells where it is."""
    a = inside(case)[0]
    floor = a.flatten(1).amin(1).clamp(max=0)
    w, h = factorised((a - floor[:, None, None]).flatten(1).T)
    total = torch.zeros(a[0].numel(), dtype=torch.float64)
    for strength, direction in zip(w.T, h, strict=True):
        without = a - torch.einsum("n,k->kn", strength, direction).view_as(a)
        logits = []
        for cells in (a, without):
            with torch.no_grad(), exchanged(case, cells[None].to(case.pixels)):
                logits.append(float(case.network(case.pixels)[0, case.target]))
        total += (logits[0] - logits[1]) * strength / strength.sum()
    return total.view(a.shape[1:])
