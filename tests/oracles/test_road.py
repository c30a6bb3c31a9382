"""ROAD and its imputation against slow plain re-derivations, and broken twins that the comparison catches."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import nn

from sightline.errors import NonFiniteError, UsageError
from sightline.evaluation.base import Question, Value
from sightline.evaluation.faithfulness.road import Road
from sightline.images.frame import Frame
from sightline.images.imputation import impute
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import convolved

WEIGHTS = {
    (down, right): 1 / 6 if 0 in (down, right) else 1 / 12
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
}


def exact(picture: np.ndarray, hidden: np.ndarray, weights: dict = WEIGHTS, renormalised: bool = True) -> np.ndarray:
    """The picture `c h w` imputed by a sparse factorisation in float64, its system written pixel by pixel."""
    height, width = hidden.shape
    place = {tuple(where): index for index, where in enumerate(np.argwhere(hidden).tolist())}
    entries: dict[tuple[int, int], float] = {}
    right_side = np.zeros((len(place), len(picture)))
    for (row, column), index in place.items():
        total = 0.0
        for (down, right), weight in weights.items():
            there = row + down, column + right
            if not (0 <= there[0] < height and 0 <= there[1] < width):
                continue
            total += weight
            if there in place:
                entries[index, place[there]] = -weight
            else:
                right_side[index] += weight * picture[:, there[0], there[1]]
        entries[index, index] = total if renormalised else 1.0
    found = picture.astype(np.float64).copy()
    if place:
        rows, columns = zip(*entries, strict=True)
        system = scipy.sparse.csc_matrix((list(entries.values()), (rows, columns)))
        found[:, hidden] = scipy.sparse.linalg.spsolve(system, right_side).reshape(len(place), -1).T
    return found


def picture(height: int, width: int, seed: int = 0, channels: int = 3) -> torch.Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def order(height: int, width: int, kind: str) -> np.ndarray:
    """Maps whose parts above a value are of many shapes: dust, discs, stripes, cells, dusty discs."""
    random = np.random.default_rng(3)
    down, right = np.mgrid[:height, :width]
    dust = random.random((height, width))
    return {
        "dust": dust,
        "disc": -np.hypot(down - height / 3, right - width / 2),
        "rim": np.hypot(down - height / 3, right - width / 2),
        "stripes": down % 2 + 1e-3 * dust,
        "board": (down + right) % 2 + 1e-3 * dust,
        "cells": random.random((height, width))[down // 8, right // 8] + 1e-6 * dust,
        "dusty disc": -np.hypot(down - height / 3, right - width / 2) / height + 0.3 * dust,
    }[kind]


KINDS = ["dust", "disc", "rim", "stripes", "board", "cells", "dusty disc"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(60, 47), (33, 64)])
def test_the_imputation_equals_a_factorisation(kind: str, size: tuple[int, int]) -> None:
    map, pixels = order(*size, kind), picture(*size)
    cuts = np.quantile(map, [0.02, 0.3, 0.6, 0.98])
    hidden = np.stack([map > cut for cut in cuts])
    found = impute(pixels.expand(len(cuts), -1, -1, -1), torch.from_numpy(hidden))
    for one, where in zip(found, hidden, strict=True):
        np.testing.assert_allclose(one, exact(pixels[0].numpy(), where), atol=1e-4)
        assert torch.equal(one[:, ~where], pixels[0][:, ~where])


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 40), (300, 2), (2, 2), (5, 3), (15, 14), (17, 16), (129, 31)])
@pytest.mark.parametrize("known", ["first", "last", "all but one"])
def test_one_pixel_that_is_known_or_hidden(size: tuple[int, int], known: str) -> None:
    """From one pixel everything gets its value; nothing is worse for conjugate gradients than so wide a hole."""
    hidden = np.ones(size, bool)
    hidden.flat[0 if known == "first" else -1] = False
    hidden = ~hidden if known == "all but one" else hidden
    pixels = picture(*size)
    found = impute(pixels, torch.from_numpy(hidden)[None])[0]
    np.testing.assert_allclose(found, exact(pixels[0].numpy(), hidden), atol=1e-4)


def test_a_wide_hole_is_solved_as_exactly_as_a_narrow_one() -> None:
    """In float32 a careless sum of neighbours is off by hundredths here: rounding that lifts a hole of 150 pixels."""
    down, right = np.mgrid[:150, :170]
    hidden = np.hypot(down, right) > 50
    pixels = torch.from_numpy(np.stack([down / 224, right / 224, np.sin(down * right / 500)])).float()[None]
    expected = torch.from_numpy(exact(pixels[0].numpy(), hidden))
    for offset in (0.0, 100.0):
        found = impute(pixels + offset, torch.from_numpy(hidden)[None])[0] - offset
        assert float((found.double() - expected).abs().max()) < 2e-4


def test_broken_imputations_are_caught() -> None:
    pixels, hidden = picture(20, 24), np.random.default_rng(0).random((20, 24)) < 0.7
    found = impute(pixels, torch.from_numpy(hidden)[None])[0].numpy()
    alike = dict.fromkeys(WEIGHTS, 1 / 8)
    beside_only = {step: 1 / 4 for step in WEIGHTS if 0 in step}
    for twin in (
        exact(pixels[0].numpy(), hidden, alike),
        exact(pixels[0].numpy(), hidden, beside_only),
        exact(pixels[0].numpy(), hidden, renormalised=False),
        exact(pixels[0].numpy(), ~hidden),
    ):
        assert np.abs(twin - found).max() > 0.01


def test_what_cannot_be_imputed_is_refused() -> None:
    pixels, hidden = picture(6, 5), torch.zeros(1, 6, 5, dtype=torch.bool)
    with pytest.raises(UsageError, match="every pixel"):
        impute(pixels, ~hidden)
    for wrong in (hidden[0], hidden.float(), torch.zeros(1, 5, 6, dtype=torch.bool), hidden.expand(2, -1, -1)):
        with pytest.raises(UsageError, match="b h w booleans"):
            impute(pixels, wrong)
    hidden[0, 2, 2] = True
    for bad in (torch.nan, torch.inf, -torch.inf):
        with pytest.raises(NonFiniteError, match="impute from"):
            impute(pixels.clone().index_fill_(3, torch.tensor([0]), bad), hidden)
    assert torch.isfinite(impute(pixels.masked_fill(hidden[:, None], torch.nan), hidden)).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_type_of_the_pixels_stays(dtype: torch.dtype) -> None:
    pixels, hidden = picture(24, 20), torch.from_numpy(order(24, 20, "disc") > -6)[None]
    found = impute(pixels.to(dtype), hidden)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found[0].double(), exact(pixels[0].numpy(), hidden[0].numpy()), atol=1e-4 + 4e-3 * (dtype == torch.bfloat16)
    )


# ---- the metric ------------------------------------------------------------------------------------------------------

HEIGHT, WIDTH = 12, 10


def network() -> nn.Module:
    return convolved(HEIGHT, WIDTH)


def question(map: np.ndarray, target: Target | None = None) -> Question:
    map = map.astype(np.float32)
    return Question(
        pixels=picture(*map.shape),
        map=map,
        picture_map=map,
        target=target or Target.of(0),
        frame=Frame.whole(*map.shape),
    )


def judged(asked: Question, **fields: object) -> Value:
    return Road(**fields)(Passes(wrap(network())), asked)  # type: ignore[arg-type]


def slow_scores(
    asked: Question, share: float, least: bool, accuracy: bool = False, first_of_equals: bool = False
) -> float:
    """One point of one curve, without noise."""
    places = [(row, column) for row in range(HEIGHT) for column in range(WIDTH)]
    sign = -1 if first_of_equals else 1
    ranked = sorted(places, key=lambda place: (asked.map[place], sign * (place[0] * WIDTH + place[1])), reverse=True)
    count = len(places) * int(share) // 100
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    for place in ranked[len(places) - count :] if least else ranked[:count]:
        hidden[place] = True
    shown = torch.from_numpy(exact(asked.pixels[0].numpy(), hidden)).float()[None]
    with torch.no_grad():
        scores = network()(shown)[0]
    index, against = int(asked.target.index[0]), asked.target.against
    if accuracy:
        return float(int(scores.argmax()) == index if against is None else scores[index] > scores[int(against[0])])
    rivals = scores if against is None else torch.stack([scores[index], scores[int(against[0])]])
    return float((scores[index] - rivals.logsumexp(0)).exp())


def maps() -> list[np.ndarray]:
    signed = np.random.default_rng(0).normal(size=(HEIGHT, WIDTH))
    return [signed, signed.clip(min=0), np.zeros((HEIGHT, WIDTH))]


@pytest.mark.parametrize("target", [Target.of(0), Target.of(1, against=0)])
@pytest.mark.parametrize("place", range(3))
def test_road_equals_a_plain_loop(target: Target, place: int) -> None:
    asked, shares = question(maps()[place], target), (10, 35, 90)
    most = [slow_scores(asked, share, least=False) for share in shares]
    least = [slow_scores(asked, share, least=True) for share in shares]
    clean = slow_scores(asked, 0, least=False)
    found = judged(asked, percentages=shares, noise=0)
    assert found.value == pytest.approx((np.mean(least) - np.mean(most)) / 2, abs=1e-4)
    assert found.curve is not None
    np.testing.assert_allclose(found.curve.x, [0, 0.1, 0.35, 0.9])
    np.testing.assert_allclose(found.curve.y, [0, *(np.array(least) - most) / 2], atol=1e-4)
    assert [found.details[f"most-relevant-first {share}%"] for share in shares] == pytest.approx(most, abs=1e-4)
    assert [found.details[f"least-relevant-first {share}%"] for share in shares] == pytest.approx(least, abs=1e-4)
    assert found.details["clean"] == pytest.approx(clean, abs=1e-5)
    one = judged(asked, percentages=shares, noise=0, order="most-relevant-first")
    other = judged(asked, percentages=shares, noise=0, order="least-relevant-first")
    assert one.value == pytest.approx(clean - np.mean(most), abs=1e-4)
    assert other.value == pytest.approx(np.mean(least) - clean, abs=1e-4)
    assert found.value == pytest.approx((one.value + other.value) / 2)


@pytest.mark.parametrize("target", [Target.of(0), Target.of(1), Target.of(2), Target.of(3), Target.of(2, against=1)])
def test_accuracy_is_whether_the_target_is_the_top_class(target: Target) -> None:
    asked, shares = question(maps()[0], target), (20, 50, 80)
    most = [slow_scores(asked, share, least=False, accuracy=True) for share in shares]
    least = [slow_scores(asked, share, least=True, accuracy=True) for share in shares]
    found = judged(asked, percentages=shares, noise=0, score="accuracy")
    assert found.value == pytest.approx((np.mean(least) - np.mean(most)) / 2)
    assert {found.details[f"most-relevant-first {share}%"] for share in shares} <= {0.0, 1.0}


def test_broken_twins_of_road_are_caught() -> None:
    asked, shares = question(maps()[1]), (10, 50)
    found = judged(asked, percentages=shares, noise=0).value
    most = np.mean([slow_scores(asked, share, least=False) for share in shares])
    least = np.mean([slow_scores(asked, share, least=True) for share in shares])
    wrong_ties = np.mean([slow_scores(asked, share, least=True, first_of_equals=True) for share in shares])
    one_percent_more = np.mean([slow_scores(asked, share + 1, least=True) for share in shares])
    twins = ((most - least) / 2, least - most, (wrong_ties - most) / 2, (one_percent_more - most) / 2, -most)
    for twin in twins:
        assert abs(twin - found) > 1e-3


def test_the_noise_is_a_part_of_the_range_and_only_on_what_was_hidden() -> None:
    seen: list[torch.Tensor] = []

    class Recorder(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen.append(pixels.clone())
            return pixels.flatten(1)[:, :2]

    map = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
    asked = question(map, Target.of(0))
    for noise in (0.0, 0.05):
        Road(percentages=(30,), order="most-relevant-first", noise=noise)(Passes(wrap(Recorder())), asked)
    plain, noisy = (seen[place][-1] for place in (-3, -1)) if len(seen) > 2 else (seen[1][-1], seen[-1][-1])
    hidden = torch.from_numpy(map >= np.sort(map.ravel())[-480])
    assert torch.equal(noisy[:, ~hidden], asked.pixels[0][:, ~hidden])
    assert float((noisy - plain)[:, hidden].std()) == pytest.approx(0.05, rel=0.08)
    assert abs(float((noisy - plain)[:, hidden].mean())) < 0.01
