"""What ROAD and its imputation keep to, whatever the picture, the mask and the map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import SpecError
from sightline.evaluation.base import Question
from sightline.evaluation.faithfulness.road import Road
from sightline.evaluation.table import METRICS
from sightline.images.frame import Frame
from sightline.images.imputation import impute
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes


@st.composite
def holes(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture `1 2 h w` and what is hidden of it, `1 h w`, by dust or by blocks; never all of it."""
    height, width, seed = draw(st.integers(1, 40)), draw(st.integers(2, 40)), draw(st.integers(0, 99))
    share, block = draw(st.sampled_from([0.1, 0.5, 0.9, 1.0])), draw(st.sampled_from([1, 5]))
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(height)[:, None] // block, torch.arange(width) // block
    hidden = (torch.rand(40, 40, generator=generator) < share)[rows, columns]
    hidden[int(torch.randint(height, (), generator=generator)), int(torch.randint(width, (), generator=generator))] = 0
    return torch.randn(1, 2, height, width, generator=generator) * 3 + 1, hidden[None]


@given(holes())
@settings(max_examples=40, deadline=None)
def test_nothing_leaves_the_range_of_what_is_known(given: tuple[torch.Tensor, torch.Tensor]) -> None:
    pixels, hidden = given
    found = impute(pixels, hidden)
    known = pixels[..., ~hidden[0]]
    assert (found.amax((2, 3)) <= known.amax(2)).all()
    assert (found.amin((2, 3)) >= known.amin(2)).all()
    assert torch.equal(found[..., ~hidden[0]], known)


@given(holes())
@settings(max_examples=40, deadline=None)
def test_every_hidden_pixel_is_the_mean_of_its_neighbours(given: tuple[torch.Tensor, torch.Tensor]) -> None:
    pixels, hidden = given
    kernel = torch.tensor([[1.0, 2, 1], [2, 0, 2], [1, 2, 1]])[None, None]
    found = impute(pixels, hidden).transpose(0, 1)
    sums, weights = (torch.nn.functional.conv2d(one, kernel, padding=1) for one in (found, torch.ones_like(found)))
    assert float((sums / weights - found)[..., hidden[0]].abs().max() if hidden.any() else 0) < 3e-3


@given(holes(), st.floats(-1e4, 1e4, width=32))
@settings(max_examples=25, deadline=None)
def test_a_flat_picture_stays_flat_and_a_whole_one_stays(
    given: tuple[torch.Tensor, torch.Tensor], value: float
) -> None:
    pixels, hidden = given
    flat = torch.full_like(pixels, value)
    assert torch.equal(impute(flat.masked_fill(hidden[:, None], 7.0), hidden), flat)
    assert torch.equal(impute(pixels, torch.zeros_like(hidden)), pixels)


@given(holes(), st.sampled_from([(2,), (3,), (2, 3)]))
@settings(max_examples=25, deadline=None)
def test_turning_the_picture_round_turns_what_is_imputed(
    given: tuple[torch.Tensor, torch.Tensor], axes: tuple[int, ...]
) -> None:
    pixels, hidden = given
    turned = impute(pixels.flip(axes), hidden.flip([axis - 1 for axis in axes]))
    assert float((turned.flip(axes) - impute(pixels, hidden)).abs().max()) < 2e-4 * float(pixels.max() - pixels.min())


@given(holes(), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=25, deadline=None)
def test_the_imputation_is_linear(given: tuple[torch.Tensor, torch.Tensor], scale: float, offset: float) -> None:
    """So it is the same in the network's units and in those of the picture."""
    pixels, hidden = given
    apart = impute(pixels * scale + offset, hidden) - (impute(pixels, hidden) * scale + offset)
    assert float(apart.abs().max()) < 2e-4 * scale * float(pixels.max() - pixels.min()) + 1e-5 * abs(offset) + 1e-5


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_very_small_and_very_large_numbers_are_imputed_too(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels, hidden = torch.rand(1, 3, 30, 40, generator=generator), torch.rand(1, 30, 40, generator=generator) < 0.8
    assert torch.allclose(impute(pixels * scale, hidden) / scale, impute(pixels, hidden), atol=1e-5)


def test_a_mixed_precision_around_it_changes_little() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels, hidden = torch.rand(1, 3, 50, 40, generator=generator), torch.zeros(1, 50, 40, dtype=torch.bool)
    hidden[:, 5:, :35] = True
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        found = impute(pixels, hidden)
    assert found.dtype == torch.float32
    assert float((found - impute(pixels, hidden)).abs().max()) < 1e-4


def test_a_picture_does_not_depend_on_its_batch_mates() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(4, 3, 50, 40, generator=generator)
    hidden = torch.rand(4, 50, 40, generator=generator) < torch.tensor([0.05, 0.5, 0.95, 1.0])[:, None, None]
    hidden[:, 3, 3] = False
    pixels[3] *= 1000
    together = impute(pixels, hidden)
    for place in range(4):
        alone = impute(pixels[place : place + 1], hidden[place : place + 1])[0]
        assert float((together[place] - alone).abs().max()) <= 1e-6 * float(pixels[place].abs().max())


# ---- the metric ------------------------------------------------------------------------------------------------------

SIZE = (10, 12)


def ask(map: np.ndarray, score: Callable | None = None, pixels: torch.Tensor | None = None, **fields: object) -> float:
    function = score or (
        lambda shown: torch.stack([shown[:, 0].mean((1, 2)) * 9, shown[:, 1, 2:5].mean((1, 2)) * 9], 1)
    )
    classifier = wrap(function, head="softmax" if score is None else "independent-probabilities")
    question = Question(
        pixels=torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)) if pixels is None else pixels,
        map=map,
        picture_map=map,
        target=Target.of(1),
        frame=Frame.whole(*SIZE),
    )
    return Road(**fields)(Passes(classifier), question).value  # type: ignore[arg-type]


def some_map(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)


@given(st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_a_map_turned_round_gives_the_negative(seed: int) -> None:
    map = some_map(seed)
    assert ask(map) == pytest.approx(-ask(-map), abs=1e-6)
    assert -0.5 <= ask(map) <= 0.5


@given(st.floats(0, 1))
@settings(max_examples=5, deadline=None)
def test_a_probability_that_never_moves_gives_nought(level: float) -> None:
    for order in ("combined", "most-relevant-first", "least-relevant-first"):
        found = ask(some_map(), score=lambda shown: torch.full((len(shown), 2), level), order=order)
        assert found == 0


def test_a_flat_picture_has_nothing_to_lose_without_noise() -> None:
    flat = torch.full((1, 3, *SIZE), 0.4)
    assert ask(some_map(), pixels=flat, noise=0, order="most-relevant-first") == 0
    assert ask(some_map(), pixels=flat, noise=0.2, order="most-relevant-first") != 0


def test_the_map_that_knows_beats_the_one_that_does_not() -> None:
    pixels = torch.full((1, 3, *SIZE), 0.2)
    pixels[..., 3:6, 4:8] = 0.9
    bright = np.zeros(SIZE, np.float32)
    bright[3:6, 4:8] = 1
    score = lambda shown: torch.stack([1 - shown.amax((1, 2, 3)), shown.amax((1, 2, 3))], 1)  # noqa: E731
    assert ask(bright, score, pixels, noise=0) > 0.2
    assert ask(-bright, score, pixels, noise=0) < -0.2


def test_noise_is_of_the_seed() -> None:
    assert ask(some_map()) == ask(some_map())
    assert ask(some_map(), seed=1) != ask(some_map())
    assert ask(some_map(), seed=1, noise=0) == ask(some_map(), noise=0)


def test_parts_of_a_run_give_the_same_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    together = ask(some_map())
    monkeypatch.setattr("sightline.passes.runner.Runner.at_once", lambda *_, **__: 4)
    assert ask(some_map()) == pytest.approx(together, abs=1e-6)


def test_fields_are_read_and_checked() -> None:
    road = METRICS.make("road(percentages=(90, 10), order=least-relevant-first, score=accuracy)")
    assert road == Road(percentages=(90, 10), order="least-relevant-first", score="accuracy")
    assert str(road) == "road(percentages=(90, 10), order=least-relevant-first, score=accuracy)"
    for wrong in ("road(percentages=(0, 50))", "road(percentages=(100,))", "road(noise=-1)", "road(order=random)"):
        with pytest.raises(SpecError):
            METRICS.make(wrong)


def test_a_map_without_an_order_and_a_faint_target_are_told() -> None:
    question = Question(
        pixels=torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)),
        map=np.zeros(SIZE, np.float32),
        picture_map=np.zeros(SIZE, np.float32),
        target=Target.of(1),
        frame=Frame.whole(*SIZE),
    )
    faint = wrap(lambda shown: torch.stack([shown.mean((1, 2, 3)) + 9, shown.mean((1, 2, 3))], 1), head="softmax")
    warnings = Road()(Passes(faint), question).warnings
    assert "flat" in warnings[0]
    assert "little to lose" in warnings[1]
