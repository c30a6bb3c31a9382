"""Metrics beside Xplique's, where the definitions coincide: `python -m parity.xplique_metrics` in `benchmarks`.

One map of one small network with random weights; Xplique answers in its own environment (`build/xplique`, made by
`make parity`), is given the subsets that we drew, and both values are printed with their difference.

    deletion, insertion   the same where the steps divide the number of pixels; of another number Xplique rounds the
                          steps down one by one, where RISE's protocol, and ours, rounds their size up
    mu-fidelity           the same given the same subsets; Xplique hides each cell by chance of its own, so that their
                          number differs from draw to draw, where ours always hides that share of the cells
    average-drop, -increase, -gain, gini, entropy
                          the same of a map without negative values, of which Xplique would take the magnitude
    AverageStability      not the same as `average-sensitivity`, and not compared: its noise is even on 0 … r, not
                          −r … r, and it takes the distance itself, not in parts of the map's norm
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

SIZE, TARGET, STEPS, SAMPLES, SHARE = (24, 36), 1, 12, 64, 0.25
FALLING = 2
"""A class that loses by being seen through the map, as the target wins."""
OF_STRENGTHS = (
    "average-drop(base=black)",
    "average-increase(base=black)",
    "average-gain(base=black)",
    "gini",
    "entropy",
)
ROOT = Path(__file__).resolve().parents[2]
BEGIN = (
    "import runpy, sys; sys.path[:0] = [{here!r}]; sys.path.append({site!r}); sys.modules['triton'] = None; "
    "sys.argv = ['worker', {folder!r}]; runpy.run_module('parity.xplique_metrics_worker', run_name='__main__')"
)
WITHIN = 1e-4


def network() -> nn.Module:
    """Two convolutions and a linear layer, with parameters from a seed."""
    made = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.Tanh(), nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(),
        nn.Linear(6 * SIZE[0] * SIZE[1] // 4, 3),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            scale = max(1, parameter[0].numel()) ** -0.5  # so that no class is sure
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return made.eval()


def ours(picture: torch.Tensor, map: torch.Tensor) -> tuple[dict[str, float], np.ndarray]:
    """Our values, and the cells that mu-fidelity hid, `samples cells`."""
    import sightline
    from sightline.evaluation.faithfulness.subsets import Hidden
    from sightline.evaluation.result import Judgement
    from sightline.images.segments import Grid
    from sightline.images.values import ValueRange
    from sightline.models.classifier import wrap

    metrics = [
        f"deletion(steps={STEPS}, base=black)",
        f"insertion(steps={STEPS}, base=black)",
        f"mu-fidelity(samples={SAMPLES}, share={SHARE}, regions=grid(rows=6, columns=6), base=black)",
    ]
    classifier = wrap(network(), head="softmax")
    found = sightline.evaluate(classifier, [map], metrics, picture=[picture], target=[TARGET])
    strengths = sightline.evaluate(classifier, [map.abs()], list(OF_STRENGTHS), picture=[picture], target=[TARGET])
    drop = sightline.evaluate(classifier, map.abs(), OF_STRENGTHS[0], picture=picture, target=FALLING)
    assert isinstance(found, list)
    assert isinstance(strengths, list)
    assert isinstance(drop, Judgement)
    strengths[0] = drop
    cells = Grid(rows=6, columns=6).make(picture, ValueRange.unit())[0]
    each = Hidden(features=cells, sizes=(round(36 * SHARE),) * SAMPLES, other=picture, seed=0)
    return {one.metric.name: one.value for one in (*found, *strengths)}, each.drawn(slice(None)).astype(np.float32)


def theirs(picture: torch.Tensor, map: torch.Tensor, hidden: np.ndarray) -> dict[str, float]:
    """Xplique's values."""
    python = ROOT / "build" / "xplique" / "bin" / "python"
    if not python.is_file():
        raise SystemExit(f"Xplique has no environment at {python.parent.parent}: make parity makes it")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "asked.npz", picture=picture.numpy(), map=map.numpy(), hidden=hidden)
        site = next(one for one in sys.path if one.endswith("site-packages"))
        words = BEGIN.format(here=str(ROOT / "benchmarks"), site=site, folder=folder)
        subprocess.run([str(python), "-c", words], check=True)
        found: dict[str, float] = json.loads((Path(folder) / "answered.json").read_text())
        return found


def main() -> int:
    """Print both, and say whether they agree."""
    generator = torch.Generator().manual_seed(1)
    picture, map = torch.rand(1, 3, *SIZE, generator=generator), torch.randn(*SIZE, generator=generator)
    own, hidden = ours(picture, map)
    other = theirs(picture, map, hidden)
    apart = {name: abs(value - other[name]) for name, value in own.items()}
    print("\n".join(f"{name:16} {own[name]:.6f} {other[name]:.6f} apart {apart[name]:.1e}" for name in own))
    return 0 if max(apart.values()) <= WITHIN else 1


if __name__ == "__main__":
    sys.exit(main())
