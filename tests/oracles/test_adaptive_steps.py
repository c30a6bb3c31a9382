"""Integrated gradients with points placed where most is missing, against plain re-derivations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from maps import result_of
from sightline.attribution.gradient import adaptive
from sightline.attribution.gradient.adaptive import Way
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.errors import SpecError
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Path
from small import Square, close, picture, seeded, smooth

ADAPTIVE = "integrated-gradients(rule=adaptive, steps=STEPS)"


class Kinks(nn.Module):
    """Many thresholds near the baseline, few further on: what makes fixed rules slow on ReLU networks."""

    def __init__(self, count: int = 40) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        weights = torch.rand(count, 3 * 5 * 6, generator=generator) / (3 * 5 * 6)
        self.weights = nn.Parameter(weights)
        self.starts = nn.Parameter(0.2 * torch.rand(count, generator=generator) ** 4)
        self.signs = nn.Parameter(torch.randn(count, generator=generator) * 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (torch.relu(x.flatten(1) @ self.weights.T - self.starts) * self.signs).sum(1, keepdim=True)
        return torch.cat([score, -score], 1)


class Jump(nn.Module):
    """A step on the way, which no gradient sees, besides a gentle slope."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((1, 2, 3))
        score = (mean > 0.2).to(x) * 5 + mean
        return torch.stack([score, -score], 1)


def way_of(network: nn.Module, x: torch.Tensor, steps: int, tolerance: float) -> Way:
    passes, start = Passes(network), torch.zeros_like(x)
    with passes:
        way = Way(x - start)
        way.walk(lambda points, see: passes.along(x, Path(start, points), Target.of(0, 1), see), steps, tolerance)
    return way


def by_trapezoids(network: nn.Module, x: torch.Tensor, points: list[float]) -> torch.Tensor:
    """x ⊙ Σ of trapezoids between neighbouring points, one gradient after another."""

    def slope(alpha: float) -> torch.Tensor:
        leaf = (torch.tensor(alpha, dtype=torch.float32) * x).requires_grad_()
        return torch.autograd.grad(network(leaf)[0, 0], leaf)[0]

    total, ordered = torch.zeros_like(x), sorted(points)
    for one, other in pairwise(ordered):
        total += (other - one) * (slope(one) + slope(other)) / 2
    return x * total


def miss(network: nn.Module, x: torch.Tensor, one: float, other: float) -> float:
    """By how much the trapezoid between two points is off."""
    with torch.no_grad():
        first, second = (float(network(torch.tensor(alpha) * x)[0, 0]) for alpha in (one, other))
    return float(by_trapezoids(network, x, [one, other]).sum()) - (second - first)


@pytest.mark.parametrize("network", [Kinks(), smooth()], ids=["kinks", "smooth"])
def test_the_map_is_the_sum_of_trapezoids_between_its_points(network: nn.Module) -> None:
    x = picture(5, 6)
    way = way_of(network, x, 40, 1e-4)
    assert len(set(way.points)) == len(way.points) <= 40
    assert close(way.integral()[0], by_trapezoids(network, x, way.points)[0], 1e-5)


def test_a_part_misses_the_difference_between_its_trapezoid_and_its_scores() -> None:
    network, x = Kinks(), picture(5, 6)
    way = way_of(network, x, adaptive.FIRST, 0)
    parts = list(pairwise(sorted(way.points)))
    missing = np.array([miss(network, x, one, other) for one, other in parts])
    np.testing.assert_allclose(way._misses()[1], missing, atol=2e-5)
    new, worst = way._between(1), parts[int(abs(missing).argmax())]
    assert new == [sum(worst) / 2]


def test_it_stops_as_soon_as_little_enough_is_missing_with_fewer_points_than_fixed_rules() -> None:
    network, x = Kinks(), picture(5, 6)
    found = result_of(network, x, "integrated-gradients(rule=adaptive, steps=400, tolerance=0.001)", target=0)
    points, difference = int(found.numbers["points"]), found.numbers["score_difference"]
    assert abs(found.numbers["completeness_error"]) <= 0.001 * abs(difference)
    with torch.no_grad():
        assert difference == pytest.approx(float(network(x)[0, 0] - network(x * 0)[0, 0]), abs=1e-5)
    assert found.passes.forward == points + 1  # and the clean pass, which tells the predictions
    assert found.passes.backward == points
    for rule in ("gauss-legendre", "midpoint", "trapezoid"):
        other = result_of(network, x, f"integrated-gradients(rule={rule}, steps={points})", target=0)
        assert abs(other.numbers["completeness_error"]) > 0.001 * abs(difference), rule


def test_a_quadratic_score_is_complete_at_the_first_points() -> None:
    network, x = seeded(Square(90)), picture(5, 6)
    found = result_of(network, x, ADAPTIVE.replace("STEPS", "99"), target=1)
    exact = result_of(network, x, "integrated-gradients(steps=3)", target=1)
    assert found.numbers["points"] == adaptive.FIRST
    assert abs(found.numbers["completeness_error"]) <= 0.01 * abs(found.numbers["score_difference"])
    assert close(torch.from_numpy(found.map), torch.from_numpy(exact.map), 2e-2)


def test_what_no_gradient_sees_costs_no_more_than_the_steps_and_is_told() -> None:
    found = result_of(Jump(), picture(5, 6), ADAPTIVE.replace("STEPS", "60"), target=0)
    assert found.numbers["points"] == 60
    assert found.numbers["completeness_error"] == pytest.approx(-5, abs=1e-3)
    assert any("does not add up" in words and "rule=adaptive" not in words for words in found.warnings)
    fixed = result_of(Jump(), picture(5, 6), "integrated-gradients(steps=60)", target=0)
    assert any("does not add up" in words and "or rule=adaptive" in words for words in fixed.warnings)


def test_pictures_of_a_batch_take_points_of_their_own() -> None:
    network, pictures = Kinks(), torch.cat([picture(5, 6), 0.05 * picture(5, 6, seed=8), picture(5, 6, seed=9)])
    method = IntegratedGradients(rule="adaptive", steps=200, tolerance=1e-3)
    together = method(network, pictures, 0)
    alone = [method(network, pictures[row : row + 1], 0) for row in range(3)]
    assert len(set(together.numbers["points"].tolist())) > 1
    for row, one in enumerate(alone):
        assert one.numbers["points"] == together.numbers["points"][row]
        assert close(together.values[row], one.values[0], 1e-5)


def test_random_baselines_are_averaged_over() -> None:
    network, x = smooth(), picture(5, 6)
    found, fixed = (
        result_of(network, x, f"integrated-gradients(rule={rule}, steps=32, draws=3, baseline=uniform)", target=1)
        for rule in ("adaptive", "gauss-legendre")
    )
    assert found.numbers["score_difference"] == pytest.approx(fixed.numbers["score_difference"], abs=1e-5)
    assert found.numbers["points"] >= 3 * adaptive.FIRST
    assert close(torch.from_numpy(found.map), torch.from_numpy(fixed.map), 2e-2)


def test_less_missing_takes_more_points_and_comes_nearer_to_the_integral() -> None:
    network, x = Kinks(), picture(5, 6)
    truth = result_of(network, x, "integrated-gradients(rule=midpoint, steps=4000)", target=0)
    rough, fine = (
        result_of(network, x, f"integrated-gradients(rule=adaptive, steps=2000, tolerance={most})", target=0)
        for most in (0.1, 0.0005)
    )
    assert rough.numbers["points"] < fine.numbers["points"]
    off = [float(abs(one.map - truth.map).max() / abs(truth.map).max()) for one in (rough, fine)]
    assert off[1] < off[0]
    assert off[1] < 0.01


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rule": "adaptive", "steps": 1}, "steps=2 or more"),
        ({"rule": "midpoint", "tolerance": 0.001}, "tolerance is of rule=adaptive"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        IntegratedGradients(**settings)  # type: ignore[arg-type]
