"""The metrics of faithfulness against slow plain re-derivations, what they must say of linear networks, and twins."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image
from torch import nn

from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.gradient.input_times_gradient import InputTimesGradient
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.errors import UsageError
from sightline.evaluation.base import Metric, Question, Value
from sightline.evaluation.faithfulness.adcc import Adcc
from sightline.evaluation.faithfulness.average_drop import AverageDrop
from sightline.evaluation.faithfulness.average_gain import AverageGain
from sightline.evaluation.faithfulness.average_increase import AverageIncrease
from sightline.evaluation.faithfulness.completeness import Completeness
from sightline.evaluation.faithfulness.correlation import correlation, ranks
from sightline.evaluation.faithfulness.faithfulness_correlation import FaithfulnessCorrelation
from sightline.evaluation.faithfulness.infidelity import Infidelity
from sightline.evaluation.faithfulness.irof import Irof
from sightline.evaluation.faithfulness.monotonicity import Monotonicity
from sightline.evaluation.faithfulness.monotonicity_correlation import MonotonicityCorrelation, NoisyRegions
from sightline.evaluation.faithfulness.mu_fidelity import MuFidelity
from sightline.evaluation.faithfulness.pic import Pic
from sightline.evaluation.faithfulness.pixel_flipping import PixelFlipping
from sightline.evaluation.faithfulness.region_order import region_rank
from sightline.evaluation.faithfulness.region_perturbation import RegionPerturbation
from sightline.evaluation.faithfulness.sensitivity_n import SensitivityN
from sightline.evaluation.faithfulness.shifts import box_sums, squares
from sightline.evaluation.faithfulness.subsets import Hidden, pixelwise
from sightline.evaluation.faithfulness.sufficiency import Sufficiency
from sightline.images.fills import Blur, Grey, Uniform
from sightline.images.frame import Frame
from sightline.images.segments import Grid
from sightline.images.values import ValueRange
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import flat, smooth

SIZE = HEIGHT, WIDTH = 8, 10
CLASS = 1


def picture(size: tuple[int, int] = SIZE, seed: int = 1) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def a_map(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def asked(map: np.ndarray, pixels: torch.Tensor | None = None, **more: object) -> Question:
    pixels = picture(map.shape) if pixels is None else pixels
    fields = {"target": Target.of(CLASS), "frame": Frame.whole(*map.shape)} | more
    return Question(pixels=pixels, map=map, picture_map=map, **fields)  # type: ignore[arg-type]


def judge(metric: Metric, question: Question, model: nn.Module | Callable | None = None) -> Value:
    return metric(Passes(wrap(model or network(), head="softmax")), question)


def network() -> nn.Module:
    """Smooth, and sure enough of itself that probabilities move."""
    return Apart(smooth())


class Apart(nn.Module):
    """Scores far from those of one picture, which are a little for the class."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        with torch.no_grad():
            self.register_buffer("usual", inner(picture()) - torch.tensor([0.0, 0.05, 0.0]))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 20 * (self.inner(pixels) - self.usual)


def answer(pixels: torch.Tensor, what: str = "probability", model: nn.Module | None = None) -> float:
    with torch.no_grad():
        scores = (model or network())(pixels)[0].double()
    return float(scores.softmax(0)[CLASS] if what == "probability" else scores[CLASS])


def places(map: np.ndarray, least: bool = False) -> list[tuple[int, int]]:
    """Pixels by falling value, of equals the last in reading order first; or the other way round."""
    order = sorted(((map[r, c], r, c) for r in range(map.shape[0]) for c in range(map.shape[1])), reverse=True)
    return [(row, column) for _, row, column in (order[::-1] if least else order)]


def trapezoids(heights: list[float]) -> float:
    return sum((one + other) / 2 for one, other in itertools.pairwise(heights)) / (len(heights) - 1)


# ---- pixels one after the other --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["probability", "logit"])
@pytest.mark.parametrize("steps", [7, 80])
def test_pixel_flipping_is_a_loop(what: str, steps: int) -> None:
    map, shown = a_map().round(1), picture()
    heights, size = [answer(shown, what)], math.ceil(map.size / steps)
    todo = places(map)
    while todo:
        for row, column in todo[:size]:
            for channel in range(3):
                value = float(shown[0, channel, row, column])
                shown[0, channel, row, column] = 0.0 if value >= 0.5 else 1.0
        todo = todo[size:]
        heights.append(answer(shown, what))
    found = judge(PixelFlipping(steps=steps, score=what), asked(map))  # type: ignore[arg-type]
    assert found.value == pytest.approx(trapezoids(heights), abs=1e-5)
    assert found.curve is not None
    np.testing.assert_allclose(found.curve.y, heights, atol=1e-5)
    assert abs(found.value - trapezoids(heights[1:])) > 1e-4  # a twin without the picture itself


@pytest.mark.parametrize("percentages", [(1, 5, 10, 20, 50), (25,)])
def test_sufficiency_is_a_loop(percentages: tuple[int, ...]) -> None:
    map, whole = a_map(), picture()
    missing = []
    for share in percentages:
        shown = torch.full_like(whole, 0.5)
        for row, column in places(map)[: int(map.size * share / 100)]:
            shown[..., row, column] = whole[..., row, column]
        missing.append(answer(whole) - answer(shown))
    found = judge(Sufficiency(percentages=percentages, base=Grey()), asked(map))
    assert found.value == pytest.approx(sum(missing) / len(missing), abs=1e-5)
    assert judge(Sufficiency(percentages=percentages), asked(-map)).value != pytest.approx(found.value, abs=1e-4)


def test_monotonicity_is_a_loop() -> None:
    map, whole = a_map(), picture()
    shown = torch.full_like(whole, 0.5)
    heights, todo = [], places(map, least=True)
    while todo:
        for row, column in todo[:9]:
            shown[..., row, column] = whole[..., row, column]
        todo = todo[9:]
        heights.append(answer(shown))
    rises = [later >= earlier for earlier, later in itertools.pairwise(heights)]
    assert 0 < sum(rises) < len(rises)
    found = judge(Monotonicity(steps=9), asked(map))
    assert found.value == sum(rises) / len(rises)
    assert judge(Monotonicity(steps=9, count="all"), asked(map)).value == 0


def test_monotonicity_of_a_network_that_adds_up() -> None:
    """All evidence is for the class, so every pixel put back raises it; and none does where all of it is against."""
    pixels = picture() * 0.5 + 0.5

    def bright(shown: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros(len(shown)), shown.sum((1, 2, 3)) / 100], 1)

    question = asked(a_map(), pixels)
    assert judge(Monotonicity(base="black", count="all"), question, bright).value == 1
    assert judge(Monotonicity(base="black"), question, lambda shown: -bright(shown)).value == 0


# ---- regions one after the other -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["most-relevant-first", "least-relevant-first", "both"])
@pytest.mark.parametrize("regions", [4, 100])
def test_region_perturbation_is_a_loop(order: str, regions: int) -> None:
    map, whole = a_map(), picture()
    noise = Uniform(seed=3).make(whole, ValueRange.unit())
    boxes = [(top, left) for top in range(0, HEIGHT, 3) for left in range(0, WIDTH, 3)]
    sums = {box: float(map[box[0] : box[0] + 3, box[1] : box[1] + 3].sum()) for box in boxes}

    def curve(least: bool) -> list[float]:
        shown, heights = whole.clone(), [answer(whole)]
        for top, left in sorted(boxes, key=lambda box: sums[box], reverse=not least)[:regions]:
            part = (..., slice(top, top + 3), slice(left, left + 3))
            shown[part] = noise[part]
            heights.append(answer(shown))
        return heights

    most = [answer(whole) - height for height in curve(least=False)]
    least = [height - answer(whole) for height in curve(least=True)]
    expected = {
        "most-relevant-first": sum(most) / len(most),
        "least-relevant-first": sum(least) / len(least),
        "both": sum(most) / len(most) + sum(least) / len(least),
    }
    metric = RegionPerturbation(window=3, regions=regions, order=order, base=Uniform(seed=3))  # type: ignore[arg-type]
    assert judge(metric, asked(map)).value == pytest.approx(expected[order], abs=1e-5)
    assert abs(expected[order]) > 1e-3
    without_the_picture = sum(most[1:]) / len(most[1:])
    assert abs(without_the_picture - expected["most-relevant-first"]) > 1e-4  # a twin that divides by L


def test_irof_is_a_loop() -> None:
    map, whole = a_map() + 1, picture()
    metric = Irof(regions=Grid(rows=3, columns=3))  # of unequal size
    regions = metric.regions.make(whole, ValueRange.unit())[0].numpy()
    shown, heights = whole.clone(), [1.0]
    for region in sorted(range(9), key=lambda one: -float(map[regions == one].mean())):
        shown[:, :, regions == region] = 0.5
        heights.append(answer(shown) / answer(whole))
    assert judge(metric, asked(map)).value == pytest.approx(1 - trapezoids(heights), abs=1e-5)
    assert any("one region" in text for text in judge(Irof(regions=Grid(rows=1, columns=1)), asked(map)).warnings)
    by_mean, by_sum = (region_rank(map, torch.from_numpy(regions), mean=mean) for mean in (True, False))
    assert not torch.equal(by_mean, by_sum)  # so a twin that orders by the sum is caught


def test_irof_cuts_superpixels_too() -> None:
    found = judge(Irof(), asked(a_map((64, 80)), Blur(sigma=4).make(picture((64, 80)), ValueRange.unit())))
    assert found.details["regions"] > 10


# ---- through the map -------------------------------------------------------------------------------------------------


def test_drop_increase_and_gain_are_the_formulas() -> None:
    seen: set[bool] = set()
    for seed in range(6):
        map, whole = a_map(seed=seed), picture(seed=seed)
        positive = np.maximum(map, 0)
        mask = torch.from_numpy((positive - positive.min()) / (positive.max() - positive.min()))
        before, after = answer(whole), answer(mask * whole + (1 - mask) * 0.5)
        question = asked(map, whole)
        assert judge(AverageDrop(), question).value == pytest.approx(max(0, before - after) / before, abs=1e-5)
        assert judge(AverageIncrease(), question).value == float(after > before)
        assert judge(AverageGain(), question).value == pytest.approx(max(0, after - before) / (1 - before), abs=1e-5)
        seen.add(after > before)
    assert seen == {True, False}


def test_gain_is_a_share_of_what_was_missing() -> None:
    """A network that dislikes bright pictures: .8 for the whole, .9 for what is half as bright."""

    def dark(pixels: torch.Tensor) -> torch.Tensor:
        likely = 1 - 0.2 * pixels.mean((1, 2, 3))
        return torch.stack([1 - likely, likely], 1).log()

    map = np.zeros(SIZE, np.float32)
    map[:, ::2] = 3
    found = judge(AverageGain(base="black"), asked(map, torch.ones(1, 3, *SIZE)), dark)
    assert found.value == pytest.approx((0.9 - 0.8) / (1 - 0.8), abs=1e-5)
    assert judge(AverageIncrease(base="black"), asked(map, torch.ones(1, 3, *SIZE)), dark).value == 1


def test_the_top_half_is_shown_in_full() -> None:
    map, whole = a_map(), picture()
    shown = torch.zeros_like(whole)
    for row, column in places(map)[: map.size // 2]:
        shown[..., row, column] = whole[..., row, column]
    drop = max(0, answer(whole) - answer(shown)) / answer(whole)
    assert judge(AverageDrop(top=50, base="black"), asked(map)).value == pytest.approx(drop, abs=1e-5)


def test_a_map_without_positive_values_shows_nothing_and_says_so() -> None:
    found = judge(AverageDrop(), asked(-np.abs(a_map()) - 1))
    expected = max(0, answer(picture()) - answer(torch.full_like(picture(), 0.5))) / answer(picture())
    assert found.value == pytest.approx(expected, abs=1e-5)
    assert any("no positive values" in text for text in found.warnings)


def test_a_network_that_is_certain_can_gain_nothing() -> None:
    def certain(pixels: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, 200.0]]).expand(len(pixels), 2)

    found = judge(AverageGain(), asked(a_map()), certain)
    assert found.value == 0
    assert "certain" in found.warnings[0]
    with pytest.raises(UsageError, match="likelier target"):
        judge(AverageDrop(), asked(a_map(), target=Target.of(0)), certain)


def test_adcc_is_the_formula() -> None:
    method, model, whole = InputTimesGradient(), network(), picture()
    passes = Passes(wrap(model, head="softmax"))

    def explained(pixels: torch.Tensor) -> np.ndarray:
        return method(passes, pixels, Target.of(CLASS)).at_pixels(HEIGHT, WIDTH)[0].detach().numpy()

    def stretched(map: np.ndarray) -> np.ndarray:
        positive = np.maximum(map, 0)
        return (positive - positive.min()) / (positive.max() - positive.min())

    map = explained(whole)
    mask = torch.from_numpy(stretched(map))
    through = mask * whole + (1 - mask) * 0.5
    coherency = (np.corrcoef(mask.numpy().ravel(), stretched(explained(through)).ravel())[0, 1] + 1) / 2
    drop = max(0, answer(whole) - answer(through)) / answer(whole)
    expected = 3 / (1 / coherency + 1 / (1 - float(mask.mean())) + 1 / (1 - drop))
    found = Adcc()(passes, asked(map, whole, method=method))
    assert found.value == pytest.approx(expected, abs=1e-4)
    assert found.details["coherency"] == pytest.approx(coherency, abs=1e-4)
    assert found.details["complexity"] == pytest.approx(float(mask.mean()), abs=1e-6)
    assert found.details["average drop"] == pytest.approx(drop, abs=1e-5)
    mean_of_parts = (coherency + 1 - float(mask.mean()) + 1 - drop) / 3
    assert abs(mean_of_parts - found.value) > 1e-3  # a twin with the arithmetic mean
    with pytest.raises(UsageError, match="explains again"):
        Adcc()(passes, asked(map, whole))


# ---- sums of the map and what the network loses ----------------------------------------------------------------------


def contributions(model: nn.Module, whole: torch.Tensor, base: torch.Tensor) -> np.ndarray:
    """(x − base)·w of a linear network, summed over the channels."""
    leaf = whole.clone().requires_grad_()
    (weights,) = torch.autograd.grad(model(leaf)[0, CLASS], leaf)
    return ((whole - base) * weights)[0].sum(0).detach().numpy()


@pytest.mark.parametrize(
    "metric",
    [
        FaithfulnessCorrelation(subset=11, samples=30),
        MuFidelity(samples=30),
        SensitivityN(sizes=4, samples=20),
    ],
)
def test_a_linear_network_and_its_own_contributions_correlate_fully(metric: Metric) -> None:
    model, whole = flat(*SIZE), picture()
    map = contributions(model, whole, torch.full_like(whole, 0.5))
    assert judge(metric, asked(map), model).value == pytest.approx(1, abs=1e-4)
    assert judge(metric, asked(-map), model).value == pytest.approx(-1, abs=1e-4)
    assert abs(judge(metric, asked(a_map()), model).value) < 0.9


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_correlations_of_subsets_are_a_loop(kind: str) -> None:
    map, whole = a_map(), picture()
    if kind == "pearson":
        metric: Metric = FaithfulnessCorrelation(subset=11, samples=25, seed=4, score="probability", base="black")
        features = np.arange(map.size).reshape(map.shape)
        size = 11
    else:
        metric = MuFidelity(samples=25, seed=4, score="probability", base="black", regions=Grid(rows=4, columns=3))
        features = Grid(rows=4, columns=3).make(whole, ValueRange.unit())[0].numpy()
        size = 2  # a fifth of 12
    said, seen = [], []
    for place in range(25):
        chosen = np.random.default_rng([4, place]).choice(features.max() + 1, size, replace=False, shuffle=False)
        shown, total = whole.clone(), 0.0
        for feature in chosen:
            shown[:, :, features == feature] = 0
            total += float(map[features == feature].sum())
        said.append(total)
        seen.append(answer(whole) - answer(shown))
    expected = (scipy.stats.pearsonr if kind == "pearson" else scipy.stats.spearmanr)(said, seen)[0]
    assert judge(metric, asked(map)).value == pytest.approx(expected, abs=1e-4)
    assert abs(expected) > 1e-2


def test_sensitivity_n_correlates_each_size_by_itself() -> None:
    map, whole = a_map(), picture()
    metric = SensitivityN(sizes=3, samples=15, score="probability", seed=2)
    sizes = [1, 8, 64]  # 1, √64, 0.8 · 80
    expected = []
    for row, size in enumerate(sizes):
        said, seen = [], []
        for place in range(15 * row, 15 * (row + 1)):
            chosen = np.random.default_rng([2, place]).choice(80, size, replace=False, shuffle=False)
            shown = whole.clone().flatten(2)
            shown[:, :, chosen] = 0.5
            said.append(float(map.ravel()[chosen].sum()))
            seen.append(answer(whole) - answer(shown.reshape(whole.shape)))
        expected.append(np.corrcoef(said, seen)[0, 1])
    found = judge(metric, asked(map))
    assert found.curve is not None
    np.testing.assert_allclose(found.curve.x * 80, sizes)
    np.testing.assert_allclose(found.curve.y, expected, atol=1e-3)
    assert found.value == pytest.approx(np.mean(expected), abs=1e-3)


def test_where_nothing_moves_there_is_no_correlation_and_it_is_said() -> None:
    still = asked(np.ones(SIZE, np.float32))
    for metric in (FaithfulnessCorrelation(subset=5), MuFidelity(regions=Grid(rows=4, columns=5)), SensitivityN()):
        found = judge(metric, still)
        assert found.value == 0
        assert "same value" in found.warnings[0]

    def deaf(pixels: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, 1.0]]).expand(len(pixels), 2)

    found = judge(FaithfulnessCorrelation(subset=5), asked(a_map()), deaf)
    assert found.value == 0
    assert "hardly moves" in found.warnings[0]


def test_the_same_features_are_hidden_however_many_versions_are_asked_for() -> None:
    whole = picture()
    hidden = Hidden(pixelwise(a_map()), (3, 40, 79, 1), torch.full_like(whole, 9), seed=5)
    together = hidden.make(whole, slice(0, 4))
    apart = torch.cat([hidden.make(whole, slice(place, place + 1)) for place in range(4)])
    assert torch.equal(together, apart)
    assert [(one == 9).all(0).sum().item() for one in together] == [3, 40, 79, 1]


def test_ranks_and_correlations_are_scipys() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        one, other = random.integers(0, 6, 12).astype(float), random.normal(size=12)
        np.testing.assert_array_equal(ranks(one), scipy.stats.rankdata(one) - 1)
        assert correlation(one, other, "spearman")[0] == pytest.approx(scipy.stats.spearmanr(one, other)[0])
        assert correlation(one, other, "pearson")[0] == pytest.approx(scipy.stats.pearsonr(one, other)[0])


def test_monotonicity_correlation_is_a_loop() -> None:
    map, whole = a_map(), picture()
    grid = Grid(rows=3, columns=4)
    regions = grid.make(whole, ValueRange.unit())[0].numpy()
    noise = torch.rand(5, 3, *SIZE, generator=torch.Generator().manual_seed(6))
    said, losses = [], []
    for region in range(12):
        said.append(float(np.abs(map[regions == region]).sum()))
        total = 0.0
        for pattern in noise:
            shown = whole.clone()
            shown[0, :, regions == region] = pattern[:, regions == region]
            total += (answer(shown) - answer(whole)) ** 2
        losses.append(total / 5 / answer(whole) ** 2)
    expected = scipy.stats.spearmanr(said, losses)[0]
    assert judge(MonotonicityCorrelation(regions=grid, samples=5, seed=6), asked(map)).value == pytest.approx(expected)
    versions = NoisyRegions(torch.from_numpy(regions), noise)
    assert torch.equal(
        versions.make(whole, slice(0, 60))[13:17],
        torch.cat([versions.make(whole, slice(13, 15)), versions.make(whole, slice(15, 17))]),
    )


def test_monotonicity_correlation_finds_what_a_network_depends_on() -> None:
    weights = torch.linspace(0, 1, 12)
    grid = Grid(rows=3, columns=4)
    regions = grid.make(picture(), ValueRange.unit())[0]
    strength = weights[regions]

    def model(pixels: torch.Tensor) -> torch.Tensor:
        # one pixel speaks for its region, so that the sum over a region's noise does not hide its weight
        score = (pixels[:, 0] * strength).sum((1, 2))
        return torch.stack([torch.zeros_like(score), score], 1)

    metric = MonotonicityCorrelation(regions=grid, samples=200, score="logit")
    areas = np.bincount(regions.numpy().ravel())[regions.numpy()]
    map = (strength.numpy() / np.sqrt(areas)).astype(
        np.float32
    )  # the effect of a region grows with the root of its size
    assert judge(metric, asked(map, torch.full((1, 3, *SIZE), 0.5)), model).value > 0.9
    assert judge(metric, asked(map.max() - map, torch.full((1, 3, *SIZE), 0.5)), model).value < -0.5


# ---- infidelity and completeness -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["square", "noisy-baseline", "noise"])
@pytest.mark.parametrize("scale", ["optimal", "none"])
def test_infidelity_is_a_loop(form: str, scale: str) -> None:
    map, whole = a_map() / 10, picture()
    said, seen = [], []
    for place in range(40):
        if form == "square":
            top, left, bottom, right = squares(*SIZE, 40, (1 / 28, 10 / 28), 3)[place].tolist()
            shown = whole.clone()
            shown[..., top:bottom, left:right] = 0
            said.append(float(map[top:bottom, left:right].sum()))
        else:
            noise = torch.from_numpy(np.random.default_rng([3, place]).standard_normal((3, *SIZE), np.float32))[None]
            shown = whole - 0.2 * noise if form == "noise" else (0.2 * noise).clamp(0, 1)
            change = (whole - shown)[0].double().numpy()
            said.append(sum(float((change[channel] * map).sum()) for channel in range(3)))
        seen.append(answer(whole, "logit") - answer(shown, "logit"))
    one, other = np.array(said), np.array(seen)
    beta = (one * other).mean() / (one * one).mean()
    best, plain = ((beta * one - other) ** 2).mean(), ((one - other) ** 2).mean()
    found = judge(Infidelity(form=form, scale=scale, samples=40, seed=3), asked(map))  # type: ignore[arg-type]
    assert found.value == pytest.approx(best if scale == "optimal" else plain, rel=1e-4)
    assert found.details["beta"] == pytest.approx(beta, rel=1e-3)
    assert found.details["unscaled"] == pytest.approx(plain, rel=1e-4)
    tiny = judge(Infidelity(form=form, scale=scale, samples=40, seed=3), asked(map / 1000))  # type: ignore[arg-type]
    assert tiny.details["beta"] == pytest.approx(1000 * beta, rel=1e-3)
    assert best < 0.99 * plain
    wrong_side = ((beta * one + other) ** 2).mean()
    assert abs(wrong_side - best) > 1e-3 * best  # a twin with f(x − I) − f(x)


def test_infidelity_of_a_linear_network_is_0_with_the_right_map_only() -> None:
    model, whole = flat(*SIZE), picture()
    leaf = whole.clone().requires_grad_()
    (_weights,) = torch.autograd.grad(model(leaf)[0, CLASS], leaf)
    map = contributions(model, whole, torch.zeros_like(whole))
    found = judge(Infidelity(base="black", scale="none"), asked(map), model)
    assert found.value == pytest.approx(0, abs=1e-8)
    assert judge(Infidelity(base="black"), asked(5 * map), model).details["unexplained"] == pytest.approx(0, abs=1e-6)
    assert judge(Infidelity(base="black"), asked(a_map()), model).details["unexplained"] > 0.5
    reversed_map = judge(Infidelity(base="black"), asked(-map), model)
    assert "reverse" in reversed_map.warnings[0]
    zeros = judge(Infidelity(), asked(np.zeros(SIZE, np.float32)), model)
    assert zeros.details["unexplained"] == 1


def test_squares_lie_in_the_picture_and_their_sums_are_right() -> None:
    boxes, map = squares(*SIZE, 200, (0.01, 0.5), 1), a_map()
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= HEIGHT).all()
    assert (boxes[:, 3] <= WIDTH).all()
    assert set((boxes[:, 2] - boxes[:, 0]).tolist()) == {1, 2, 3, 4}
    assert torch.equal(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    slow = [map[top:bottom, left:right].sum() for top, left, bottom, right in boxes.tolist()]
    np.testing.assert_allclose(box_sums(map, boxes), slow, atol=1e-5)


def test_completeness_is_what_is_missing() -> None:
    model, whole = flat(*SIZE), picture()
    map = contributions(model, whole, torch.zeros_like(whole))
    assert judge(Completeness(), asked(map), model).value == pytest.approx(0, abs=1e-5)
    more = map.copy()
    more[2, 3] += 0.75
    found = judge(Completeness(), asked(more), model)
    assert found.value == pytest.approx(0.75, abs=1e-5)
    gap = answer(whole, "logit", model) - answer(torch.zeros_like(whole), "logit", model)
    assert found.details["difference"] == pytest.approx(gap, abs=1e-5)
    assert found.details["relative"] == pytest.approx(0.75 / abs(gap), rel=1e-4)
    assert judge(Completeness(base="white"), asked(map), model).value > 0.01  # another base is another question


def test_completeness_is_doubted_where_the_method_means_another_sum() -> None:
    said = {
        GradCam(): "does not promise",
        IntegratedGradients(): "",
        IntegratedGradients(baseline="blur"): "made against blur, and is judged against black",
    }
    for method, text in said.items():
        warnings = judge(Completeness(), asked(a_map(), method=method)).warnings
        assert (text in warnings[0]) if text else warnings == ()


# ---- information -----------------------------------------------------------------------------------------------------


def natural(size: tuple[int, int]) -> torch.Tensor:
    """A smooth slope of colours under grain."""
    down, right = torch.meshgrid(torch.linspace(0, 1, size[0]), torch.linspace(0, 1, size[1]), indexing="ij")
    pixels = torch.stack([down, right, (down + right) / 2]) * 0.4
    return pixels[None] + 0.5 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))


class Corner(nn.Module):
    """Class 1 is grain in the corner, how much neighbours differ there; grain elsewhere is information without use."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        corner = pixels[:, :, :10, :10]
        grain = (corner[..., 1:] - corner[..., :-1]).abs().mean((1, 2, 3))
        return torch.stack([torch.zeros_like(grain), 120 * (grain - 0.08)], 1)


class Fickle(nn.Module):
    """Grain of the upper left speaks for class 1, of the upper right against it, and of the lower left for it again."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        grain = (pixels[..., 1:] - pixels[..., :-1]).abs().mean(1)
        parts = [grain[:, :16, :20], grain[:, :16, 20:], grain[:, 16:, :20]]
        score = sum(sign * part.mean((1, 2)) for sign, part in zip((30, -15, 25), parts, strict=True)) - 4
        return torch.stack([torch.zeros_like(score), score], 1)


def slow_pic(
    map: np.ndarray, whole: torch.Tensor, thresholds: tuple[float, ...], curve: str, model: nn.Module, rise: bool = True
) -> float:
    from scipy.interpolate import griddata

    picture = (whole[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    _height, _width = map.shape
    known = np.zeros(map.size, bool)
    known[np.random.default_rng(0).choice(map.size, int(map.size * 0.01), replace=False)] = True
    known = known.reshape(map.shape)

    def blurred(seen: np.ndarray) -> np.ndarray:
        seen = seen.copy()
        seen[[0, 0, -1, -1], [0, -1, 0, -1]] = True
        made = picture.astype(float)
        for channel in range(3):
            made[~seen, channel] = griddata(np.argwhere(seen), picture[seen, channel].astype(float), np.argwhere(~seen))
        return made.round().astype(np.uint8)

    def size(shown: np.ndarray) -> int:
        buffer = io.BytesIO()
        Image.fromarray(shown).save(buffer, format="webp", lossless=True, quality=100)
        return len(buffer.getvalue())

    def says(shown: np.ndarray) -> float:
        with torch.no_grad():
            scores = model(torch.from_numpy(shown).permute(2, 0, 1)[None] / 255)[0]
        return float(scores.softmax(0)[CLASS]) if curve == "sic" else float(scores.argmax() == CLASS)

    start = blurred(known)
    points, best = [(0.0, 0.0), (1.0, 1.0)], 0.0
    for threshold in thresholds:
        shown = blurred(known | (map >= np.quantile(map, 1 - threshold)))
        across = (size(shown) - size(start)) / (size(picture) - size(start))
        back = min(1, max(0, (says(shown) - says(start)) / (says(picture) - says(start))))
        best = max(best, back) if rise else back
        points.append((min(1, max(0, across)), best))
    points.sort()
    return sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in itertools.pairwise(points))


@pytest.mark.parametrize("curve", ["sic", "aic"])
def test_pic_is_a_loop_and_knows_a_good_map(curve: str) -> None:
    whole, thresholds = natural((32, 40)), (0.05, 0.1, 0.2, 0.4)
    good = a_map((32, 40)) / 10
    good[:10, :10] += 1
    metric = Pic(curve=curve, thresholds=thresholds)  # type: ignore[arg-type]
    values = {}
    for name, map in (("good", good), ("wrong", -good), ("random", a_map((32, 40)))):
        values[name] = judge(metric, asked(map, whole), Corner()).value
        assert values[name] == pytest.approx(slow_pic(map, whole, thresholds, curve, Corner()), abs=2e-3)
    assert values["good"] > 0.3 + max(values["random"], values["wrong"])


def test_pic_never_falls() -> None:
    whole, thresholds = natural((32, 40)), (0.1, 0.25, 0.5, 0.75)
    map = a_map((32, 40)) / 10
    for part, height in (
        ((slice(0, 16), slice(0, 20)), 3),
        ((slice(0, 16), slice(20, 40)), 2),
        ((slice(16, 32), slice(0, 20)), 1),
    ):
        map[part] += height
    found = judge(Pic(thresholds=thresholds), asked(map, whole), Fickle()).value
    assert found == pytest.approx(slow_pic(map, whole, thresholds, "sic", Fickle()), abs=5e-3)
    assert found > slow_pic(map, whole, thresholds, "sic", Fickle(), rise=False) + 0.02


def test_pic_tells_where_there_is_no_curve() -> None:
    def deaf(pixels: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, 1.0]]).expand(len(pixels), 2)

    found = judge(Pic(), asked(a_map((32, 40)), natural((32, 40))), deaf)
    assert (found.value, found.curve) == (0, None)
    assert "no curve" in found.warnings[0]


# ---- what the numbers are for ----------------------------------------------------------------------------------------


class Planted(nn.Module):
    """The evidence for class 1 lies in one corner, evenly."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        evidence = pixels[:, :, :4, :4].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(evidence), 12 * (evidence - 0.7)], dim=1)


FILLED = {"base": Blur(sigma=8)}
JUDGES: list[Metric] = [
    PixelFlipping(steps=36),
    RegionPerturbation(window=2, regions=9),
    Irof(regions=Grid(rows=6, columns=6)),
    Sufficiency(percentages=(5, 10, 20)),
    AverageDrop(),
    AverageIncrease(base="black"),
    MuFidelity(regions=Grid(rows=6, columns=6)),
    FaithfulnessCorrelation(subset=30),
    SensitivityN(sizes=5, samples=50),
    Infidelity(scale="none"),
    MonotonicityCorrelation(regions=Grid(rows=6, columns=6), samples=3),
]


@pytest.mark.parametrize("metric", JUDGES, ids=lambda metric: metric.name)
def test_the_true_map_beats_one_of_elsewhere(metric: Metric) -> None:
    pixels = torch.full((1, 3, 12, 12), 0.2)
    pixels[:, :, :4, :4] = 1
    true = np.zeros((12, 12), np.float32)
    true[:4, :4] = 12 / 16  # what the score loses with a pixel, shared evenly
    values = [judge(metric, asked(map, pixels), Planted()).value for map in (true, true[::-1, ::-1].copy())]
    if metric.name == "average-increase":
        assert values == [0, 0] or values[0] > values[1]
        return
    assert (values[0] > values[1]) if metric.traits.better == "higher" else (values[0] < values[1])
