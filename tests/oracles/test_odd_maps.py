"""The trickiest metrics re-derived as plain loops where maps and pictures are odd.

One channel, 7 × 13 pixels, colours normalised; maps of few values, of negative ones alone, of one value, of one peak,
very large and very small. What a metric draws at random is taken from it; what it makes of that is worked out again.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image
from torch import nn

from sightline.evaluation.base import Question, Value
from sightline.evaluation.faithfulness.shifts import squares
from sightline.evaluation.faithfulness.subsets import Hidden, pixelwise
from sightline.evaluation.localisation.relevance_mass import RelevanceMass
from sightline.evaluation.table import METRICS
from sightline.images.frame import Frame
from sightline.images.prepare import Preparation
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import seeded

SIZE = HEIGHT, WIDTH = 7, 13
CELLS = HEIGHT * WIDTH
CLASS = 2
MEAN, DEVIATION = 0.3, 0.7
LOW = -MEAN / DEVIATION
"""Black, as the network is given it; 0 is the mean colour."""


def network() -> nn.Module:
    body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * CELLS, 4))
    return nn.Sequential(seeded(body, 3), Loud())


class Loud(nn.Module):
    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return 2 * scores


MODEL = network().eval()
PICTURE = (torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(5)) - MEAN) / DEVIATION
RANDOM = np.random.default_rng(8)
MAPS: dict[str, np.ndarray] = {
    "few values": RANDOM.integers(-2, 3, SIZE).astype(np.float32),
    "negative": -RANDOM.random(SIZE, np.float32) - 1,
    "one value": np.full(SIZE, 0.25, np.float32),
    "zeros": np.zeros(SIZE, np.float32),
    "one peak": np.eye(1, CELLS, 40, dtype=np.float32).reshape(SIZE),
    "large": (RANDOM.normal(size=SIZE) * 1e30).astype(np.float32),
    "small": (RANDOM.normal(size=SIZE) * 1e-30).astype(np.float32),
}
each_map = pytest.mark.parametrize("name", MAPS)


def found(text: str, map: np.ndarray, mask: np.ndarray | None = None) -> Value:
    question = Question(
        pixels=PICTURE, map=map, picture_map=map, target=Target.of(CLASS), frame=Frame.whole(*SIZE), mask=mask
    )
    preparation = Preparation(mean=(MEAN,), std=(DEVIATION,), channels="grey")
    return METRICS.make(text)(Passes(wrap(MODEL, head="softmax", preparation=preparation)), question)


def logit(pixels: torch.Tensor) -> float:
    with torch.no_grad():
        return float(MODEL(pixels)[0, CLASS])


def likely(pixels: torch.Tensor) -> float:
    with torch.no_grad():
        return float(MODEL(pixels).double().softmax(1)[0, CLASS])


def with_(where: np.ndarray, value: float) -> torch.Tensor:
    shown = PICTURE.clone()
    shown[0, 0][torch.from_numpy(where)] = value
    return shown


def falling(map: np.ndarray) -> list[int]:
    """Pixels by falling value, the last in reading order first among equals."""
    return sorted(range(CELLS), key=lambda place: (float(map.ravel()[place]), place), reverse=True)


def among(places: list[int]) -> np.ndarray:
    where = np.zeros(CELLS, bool)
    where[places] = True
    return where.reshape(SIZE)


def trapezoid(heights: list[float]) -> float:
    return sum((one + other) / 2 for one, other in itertools.pairwise(heights)) / (len(heights) - 1)


def correlated(said: list[float], seen: list[float], how: Callable) -> float:
    return 0.0 if len({f"{one:.9e}" for one in said}) == 1 else float(how(said, seen)[0])


def total(map: np.ndarray, where: np.ndarray) -> float:
    return sum(float(value) for value in map[where])


@each_map
def test_deletion_and_insertion(name: str) -> None:
    map, order = MAPS[name], falling(MAPS[name])
    steps = [*range(0, CELLS, 8), CELLS]  # ⌈91 / 12⌉ pixels a step
    expected = trapezoid([likely(with_(among(order[:count]), LOW)) for count in steps])
    assert found("deletion(steps=12, base=black)", map).value == pytest.approx(expected, abs=1e-6)
    expected = trapezoid([likely(with_(among(order[count:]), LOW)) for count in steps])
    assert found("insertion(steps=12, base=black)", map).value == pytest.approx(expected, abs=1e-6)


@each_map
def test_monotonicity(name: str) -> None:
    rising = falling(MAPS[name])[::-1]
    counts = [min(CELLS, 8 * step) for step in range(1, 13)]
    heights = [likely(with_(~among(rising[:count]), 0.0)) for count in counts]
    rises = [after >= before - 1e-6 for before, after in itertools.pairwise(heights)]
    assert found("monotonicity(steps=12)", MAPS[name]).value == pytest.approx(sum(rises) / len(rises))
    assert 0 < sum(rises) < len(rises)


@each_map
@pytest.mark.parametrize("order", ["most-relevant-first", "least-relevant-first"])
def test_region_perturbation(name: str, order: str) -> None:
    """Squares of 4 pixels, cut off at the right (1 wide) and below (3 high): 2 rows of 4."""
    map = MAPS[name]
    cells = [among([row * WIDTH + column for row in range(top, min(top + 4, HEIGHT))
                    for column in range(left, min(left + 4, WIDTH))])
             for top in (0, 4) for left in (0, 4, 8, 12)]  # fmt: skip
    sign = 1 if order == "most-relevant-first" else -1
    cells.sort(key=lambda where: -sign * total(map, where))
    gone, drops = np.zeros(SIZE, bool), [0.0]
    for where in cells[:5]:
        gone |= where
        drops.append(sign * (likely(PICTURE) - likely(with_(gone, LOW))))
    value = found(f"region-perturbation(window=4, regions=5, base=black, order={order})", map).value
    assert value == pytest.approx(sum(drops) / 6, abs=1e-6)


@each_map
def test_irof(name: str) -> None:
    """Rectangles of a grid of 3 × 5: rows of 2, 2 and 3 pixels, columns of 2 or 3."""
    map = MAPS[name]
    rows = [range(k * HEIGHT // 3, (k + 1) * HEIGHT // 3) for k in range(3)]
    columns = [range(k * WIDTH // 5, (k + 1) * WIDTH // 5) for k in range(5)]
    cells = [among([row * WIDTH + column for row in down for column in across]) for down in rows for across in columns]
    cells.sort(key=lambda where: -total(map, where) / where.sum())
    gone, heights = np.zeros(SIZE, bool), [1.0]
    for where in cells:
        gone |= where
        heights.append(likely(with_(gone, 0.0)) / likely(PICTURE))
    assert gone.all()
    value = found("irof(regions=grid(rows=3, columns=5))", map).value
    assert value == pytest.approx(1 - trapezoid(heights), abs=1e-6)


def drawn(sizes: tuple[int, ...], features: torch.Tensor) -> list[np.ndarray]:
    """Which pixels each version hides."""
    hidden = Hidden(features=features, sizes=sizes, other=PICTURE, seed=0)
    chosen = hidden.drawn(slice(0, len(sizes)))
    assert [int(row.sum()) for row in chosen] == list(sizes)
    return [row[features.numpy()] for row in chosen]


@each_map
def test_sensitivity_n(name: str) -> None:
    """Of 91 pixels at most ⌊0.8 · 91⌋ = 72 are hidden: n is 1, 4, 17 and 72."""
    map, sizes, heights = MAPS[name], [1, 4, 17, 72], []
    every = drawn(tuple(size for size in sizes for _ in range(20)), pixelwise(map))
    for place in range(4):
        sets = every[20 * place : 20 * place + 20]
        said = [total(map, where) for where in sets]
        heights.append(correlated(said, [logit(PICTURE) - logit(with_(where, 0.0)) for where in sets],
                                  scipy.stats.pearsonr))  # fmt: skip
    value = found("sensitivity-n(sizes=4, samples=20)", map)
    assert value.curve is not None
    assert (value.curve.x * CELLS).round().astype(int).tolist() == sizes
    assert value.value == pytest.approx(np.mean(heights), abs=2e-5)


@each_map
def test_mu_fidelity_and_faithfulness_correlation(name: str) -> None:
    map = MAPS[name]
    down, across = (np.array([k * many // side for k in range(side)]) for many, side in ((3, HEIGHT), (4, WIDTH)))
    features = torch.from_numpy(((np.arange(HEIGHT) + 1) * 3 - 1)[:, None] // HEIGHT * 4
                                + ((np.arange(WIDTH) + 1) * 4 - 1)[None] // WIDTH)  # fmt: skip
    assert len(down) + len(across) == HEIGHT + WIDTH
    sets = drawn((2,) * 30, features)  # ⌊0.2 · 12⌋ cells
    said = [total(map, where) for where in sets]
    seen = [logit(PICTURE) - logit(with_(where, 0.0)) for where in sets]
    value = found("mu-fidelity(samples=30, regions=grid(rows=3, columns=4))", map).value
    assert value == pytest.approx(correlated([round(one, 12) for one in said] if name == "few values" else said, seen,
                                             scipy.stats.spearmanr), abs=2e-3)  # fmt: skip
    sets = drawn((90,) * 30, pixelwise(map))  # 224 are asked for, and all but one pixel are there
    said = [total(map, where) for where in sets]
    seen = [logit(PICTURE) - logit(with_(where, 0.0)) for where in sets]
    value = found("faithfulness-correlation(samples=30)", map).value
    assert value == pytest.approx(correlated(said, seen, scipy.stats.pearsonr), abs=2e-4)


@each_map
def test_infidelity(name: str) -> None:
    """The best scale is worked out by least squares, of a map brought to size 1 first: it may be what it likes."""
    map = MAPS[name] / (float(np.abs(MAPS[name]).max()) or 1.0)
    said, seen = [], []
    for top, left, bottom, right in squares(HEIGHT, WIDTH, 25, (0.2, 0.6), 0).tolist():
        assert bottom - top == right - left in (1, 2, 3, 4)
        where = np.zeros(SIZE, bool)
        where[top:bottom, left:right] = True
        said.append(total(map, where))
        seen.append(logit(PICTURE) - logit(with_(where, LOW)))
    scale = np.linalg.lstsq(np.array(said)[:, None], np.array(seen), rcond=None)[0] if any(said) else np.zeros(1)
    expected = np.mean((scale * np.array(said) - seen) ** 2)
    value = found("infidelity(samples=25, sides=(0.2, 0.6))", MAPS[name])
    assert value.value == pytest.approx(expected, rel=1e-3)
    assert value.details["unexplained"] == pytest.approx(expected / np.mean(np.square(seen)), rel=1e-3)


@each_map
def test_average_drop_and_the_map_as_a_mask(name: str) -> None:
    positive = MAPS[name].astype(np.float64).clip(min=0)
    mask = (positive - positive.min()) / (np.ptp(positive) or 1)
    through = likely((PICTURE * torch.from_numpy(mask)).float())  # the mean colour is 0
    whole = likely(PICTURE)
    assert found("average-drop", MAPS[name]).value == pytest.approx(max(0.0, whole - through) / whole, abs=1e-6)
    assert found("average-gain", MAPS[name]).value == pytest.approx(max(0.0, through - whole) / (1 - whole), abs=1e-6)
    shown = likely(with_(~among(falling(MAPS[name])[:45]), 0.0))  # ⌊0.5 · 91⌋ pixels in full
    expected = max(0.0, whole - shown) / whole
    assert found("average-drop(top=50)", MAPS[name]).value == pytest.approx(expected, abs=1e-6)


@each_map
def test_relevance_rank_mass_and_auc(name: str) -> None:
    """Of equal values at the edge each is as likely: the mean over every way to break the ties at random."""
    map, mask = MAPS[name], np.zeros(SIZE, bool)
    mask[1:5, 3:9] = True
    many, chance, hits = int(mask.sum()), np.random.default_rng(0), []
    for _ in range(4000):
        ties = chance.permutation(CELLS)
        order = np.lexsort((ties, -map.ravel()))
        hits.append(mask.ravel()[order[:many]].mean())
    assert found("relevance-rank", map, mask).value == pytest.approx(np.mean(hits), abs=0.01)
    pairs = [(one > other) + (one == other) / 2 for one in map[mask] for other in map[~mask]]
    assert found("auc", map, mask).value == pytest.approx(np.mean(pairs), abs=1e-9)
    positive = map.astype(np.float64).clip(min=0)
    share = positive[mask].sum() / positive.sum() if positive.any() else 0.0
    assert found("relevance-mass", map, mask).value == pytest.approx(share, abs=1e-9)


@each_map
def test_complexity(name: str) -> None:
    strength = np.sort(np.abs(MAPS[name].astype(np.float64)).ravel())
    shares = strength / strength.sum() if strength.any() else strength
    apart = np.abs(shares[:, None] - shares).sum() / (2 * CELLS) if strength.any() else 0.0  # the mean difference
    assert found("gini", MAPS[name]).value == pytest.approx(apart, abs=1e-6)
    expected = scipy.stats.entropy(shares) if strength.any() else found("entropy", MAPS[name]).value
    assert found("entropy", MAPS[name]).value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["few values", "one value", "one peak", "small"])
def test_pic(name: str) -> None:
    """Of many equal values at a threshold all come back; a flat map shows the whole picture from the first on."""
    from scipy.interpolate import griddata

    bytes_of = (PICTURE[0, 0] * DEVIATION + MEAN).mul(255).round().numpy().astype(np.uint8)
    at_random = among(np.random.default_rng(0).choice(CELLS, int(0.1 * CELLS), replace=False).tolist())

    def known(where: np.ndarray) -> np.ndarray:
        where = where.copy()
        where[[0, 0, -1, -1], [0, -1, 0, -1]] = True
        made = bytes_of.astype(float)
        if not where.all():
            made[~where] = griddata(np.argwhere(where), bytes_of[where].astype(float), np.argwhere(~where))
        return made.round().astype(np.uint8)

    def size(shown: np.ndarray) -> int:
        buffer = io.BytesIO()
        Image.fromarray(shown).save(buffer, format="webp", lossless=True, quality=100)
        return len(buffer.getvalue())

    def says(shown: np.ndarray) -> float:
        return likely(((torch.from_numpy(shown)[None, None] / 255 - MEAN) / DEVIATION).float())

    points, best, start = [(0.0, 0.0), (1.0, 1.0)], 0.0, known(at_random)
    assert says(bytes_of) > says(start)
    for share in (0.1, 0.3, 0.6):
        shown = known(at_random | (MAPS[name] >= np.quantile(MAPS[name], 1 - share)))
        across = (size(shown) - size(start)) / (size(bytes_of) - size(start))
        best = max(best, min(1, (says(shown) - says(start)) / (says(bytes_of) - says(start))))
        points.append((min(1, max(0, across)), best))
    points.sort()
    expected = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in itertools.pairwise(points))
    value = found("pic(thresholds=(0.1, 0.3, 0.6), start=0.1)", MAPS[name]).value
    assert value == pytest.approx(expected, abs=0.03)  # where triangles could be cut in two ways, a byte may differ


class MassByMean(RelevanceMass):
    """A twin that takes the mean of the object's values in place of their sum."""

    def measure(self, passes: Passes, question: Question) -> Value:
        positive = question.picture_map.clip(min=0)
        return Value(value=float(positive[question.object].mean() / max(positive.sum(), 1e-30)))


def test_a_twin_is_caught() -> None:
    mask = np.zeros(SIZE, bool)
    mask[1:5, 3:9] = True
    right = found("relevance-mass", MAPS["large"], mask).value
    question = Question(pixels=PICTURE, map=MAPS["large"], picture_map=MAPS["large"], target=Target.of(CLASS),
                        frame=Frame.whole(*SIZE), mask=mask)  # fmt: skip
    assert abs(MassByMean()(Passes(wrap(MODEL)), question).value - right) > 0.1
