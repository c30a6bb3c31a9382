"""Points on the way from a baseline placed where they are needed, until little enough is missing.

Between two neighbouring points a < b the integral of the slope D = ⟨x − x′, ∂s/∂x⟩ is known without a rule: it is the
difference of the scores there, which the same passes give. So the trapezoid's miss of every part of the way is known,

    miss(a, b) = ½ (b − a) (D(a) + D(b)) − (s(b) − s(a)),

and new points go where it is largest, until Σ miss is at most `tolerance` of s(x) − s(x′). Most of it arises near the
baseline, where a picture that hardly shows turns most features on (V. Miglani, N. Kokhlikyan, B. Alsallakh, M. Martin
and O. Reblitz-Richardson, "Investigating Saturation Effects in Integrated Gradients", 2020), so that the first points
lie at (j/n)². To spread steps by what the score does was proposed by A. Bhat and A. Raychowdhury, "Non-Uniform
Interpolation in Integrated Gradients for Low-Latency Explainable-AI", 2023, from a look ahead; here it is done by what
is missing, which needs no pass of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.passes.perturbations import Stretch
from sightline.types import ChannelMap

FIRST = 16
"""Points before anything is known, both ends among them."""
ROUND = 8
"""Points that are placed at a time: a batch of fewer costs more a point."""
_CLOSEST = 2.0**-20
"""Parts of the way that are not divided further: points are float32."""

Ask = Callable[[torch.Tensor, Callable[[Stretch], None]], None]
"""Runs passes at points `n` of the way of one picture, and shows what they gave."""


@dataclass(eq=False)
class Way:
    """What is known on the way of one picture.

    Attributes:
        change: `1 c h w`, from the baseline to the picture.
        points: where the network was asked, in the order of asking.
        scores: the target's score at each point.
        slopes: the change of the score on the way, at each point.
        parts: `c h w` each, the slope's share of every value.
    """

    change: ChannelMap
    points: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    parts: list[torch.Tensor] = field(default_factory=list)

    def walk(self, ask: Ask, most: int, tolerance: float) -> None:
        """Ask at as few points as leave at most that share of the difference missing, and at no more than `most`."""
        self._ask(ask, (np.linspace(0, 1, min(FIRST, most)) ** 2).tolist())
        while len(self.points) < most and not self.is_enough(tolerance):
            new = self._between(min(ROUND, most - len(self.points)))
            if not new:
                return
            self._ask(ask, new)

    def is_enough(self, tolerance: float) -> bool:
        """Whether what is missing is at most that share of the difference of the scores at both ends."""
        return abs(float(self._misses()[1].sum())) <= tolerance * abs(self.difference())

    def difference(self) -> float:
        """The score at the picture less that at the baseline, by the very passes that gave the slopes."""
        return self.scores[self.points.index(1.0)] - self.scores[self.points.index(0.0)]

    def integral(self) -> ChannelMap:
        """The trapezoids' sum of the parts, `1 c h w` float32."""
        order = np.argsort(self.points)
        gaps = np.diff(np.array(self.points)[order])
        weights = (np.append(gaps, 0) + np.insert(gaps, 0, 0)) / 2
        total = torch.zeros_like(self.change, dtype=torch.float32)
        for place, weight in zip(order, weights, strict=True):
            total += self.parts[place] * float(weight)
        return total

    def _ask(self, ask: Ask, points: list[float]) -> None:
        def see(found: Stretch) -> None:
            parts = found.gradients[:, 0] * self.change.float()
            self.scores += found.scores[:, 0].tolist()
            self.slopes += parts.double().sum((1, 2, 3)).tolist()
            self.parts += parts.unbind()

        ask(torch.tensor(points, dtype=torch.float32), see)
        self.points += points

    def _misses(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The order of the points on the way, and what is missing between neighbours."""
        order = np.argsort(self.points)
        points, scores, slopes = (np.array(of)[order] for of in (self.points, self.scores, self.slopes))
        return order, np.diff(points) * (slopes[1:] + slopes[:-1]) / 2 - np.diff(scores)

    def _between(self, count: int) -> list[float]:
        """New points: one after the other goes into the part that, divided evenly, misses most."""
        order, misses = self._misses()
        points = np.array(self.points)[order]
        gaps, pieces = np.diff(points), np.ones(len(misses))
        for _ in range(count):
            share = np.where(gaps / (pieces + 1) >= _CLOSEST, np.abs(misses) / pieces, -1)
            if share.max() < 0:
                break
            pieces[int(share.argmax())] += 1
        parts = zip(points[:-1], gaps, pieces.astype(int), strict=True)
        return [float(start + gap * step / n) for start, gap, n in parts for step in range(1, n)]
