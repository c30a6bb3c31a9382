"""Localisation, robustness and sanity beside Quantus, captum and TorchRay's rule, where the definitions coincide."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sightline.attribution.gradient import noisy
from sightline.attribution.result import Attribution
from sightline.evaluation.base import Question
from sightline.evaluation.evaluate import evaluate
from sightline.evaluation.result import Judgement
from sightline.evaluation.robustness.nearby import Nearby
from sightline.evaluation.sanity import cascade
from sightline.evaluation.sanity.redrawn import redraw
from sightline.evaluation.table import METRICS
from sightline.images.frame import Frame
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from small import gradient_of, picture, seeded, smooth

SIZE = (18, 22)
TARGETS = [0, 2, 1, 2]


def maps(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Maps without two equal values, and objects."""
    random = np.random.default_rng(3)
    down, right = np.mgrid[: SIZE[0], : SIZE[1]]
    objects = np.stack([(down - 4 - place) ** 2 + (right - 2 * place - 3) ** 2 < 20 for place in range(count)])
    return random.normal(size=(count, *SIZE)).astype(np.float32) + objects, objects


def ours(name: str, map: np.ndarray, mask: np.ndarray) -> float:
    question = Question(
        pixels=torch.zeros(1, 3, *SIZE),
        map=map,
        picture_map=map,
        target=Target.of(0),
        frame=Frame.whole(*SIZE),
        mask=mask,
    )
    return METRICS.make(name)(Passes(wrap(lambda pixels: pixels.mean((2, 3)))), question).value


@pytest.mark.parametrize(
    ("name", "theirs", "fields"),
    [
        ("pointing-game(tolerance=0)", "PointingGame", {"abs": False}),
        ("relevance-mass(sign=absolute)", "RelevanceMassAccuracy", {"abs": True}),
        ("relevance-mass(sign=absolute)", "AttributionLocalisation", {"abs": True}),
        ("relevance-mass", "AttributionLocalisation", {"abs": False, "positive_attributions": True}),
        ("relevance-rank", "RelevanceRankAccuracy", {"abs": False}),
        ("top-k(k=50)", "TopKIntersection", {"abs": False, "k": 50}),
        ("auc", "AUC", {"abs": False}),
    ],
)
def test_quantus_localisation(name: str, theirs: str, fields: dict[str, Any]) -> None:
    quantus = pytest.importorskip("quantus")
    values, objects = maps()
    metric = getattr(quantus, theirs)(**{"normalise": False, "disable_warnings": True, **fields})
    found = metric(
        model=smooth(),
        x_batch=np.zeros((len(values), 3, *SIZE), np.float32),
        y_batch=np.zeros(len(values), int),
        a_batch=values[:, None],
        s_batch=objects[:, None],
        device="cpu",
    )
    expected = [ours(name, map, mask) for map, mask in zip(values, objects, strict=True)]
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-5)
    assert len(set(expected)) > 1


def test_pointing_game_is_torchrays() -> None:
    """TorchRay's `PointingGame.evaluate`: a filled circle of less than 15 pixels around the maximum meets the mask."""
    random = np.random.default_rng(0)
    down, right = np.mgrid[:60, :70]
    hits = []
    for _ in range(40):
        map, mask = random.random((60, 70)).astype(np.float32), np.zeros((60, 70), bool)
        mask[tuple(random.integers(0, 60, 2))] = True
        y, x = np.unravel_index(map.argmax(), map.shape)
        hits.append(bool((mask & ((down - y) ** 2 + (right - x) ** 2 < 15**2)).any()))
        question = Question(
            pixels=torch.zeros(1, 3, 60, 70),
            map=map,
            picture_map=map,
            target=Target.of(0),
            frame=Frame.whole(60, 70),
            mask=mask,
        )
        metric = METRICS.make("pointing-game")
        assert metric(Passes(wrap(lambda pixels: pixels.mean((2, 3)))), question).value == hits[-1]
    assert 0 < sum(hits) < 40


# ---- metrics that explain again: the same noise and the same new parameters for both ---------------------------------


def gradients(model: Any, inputs: Any, targets: Any, **_: Any) -> np.ndarray:
    """What Quantus is told to explain by, `b 1 h w`: the gradient's map."""
    x = torch.as_tensor(np.asarray(inputs), dtype=torch.float32)
    rows = torch.as_tensor(np.asarray(targets)).long()
    return gradient_of(model, x, lambda scores: scores.gather(1, rows[:, None])).sum(1, keepdim=True).numpy()


def judged(model: Any, x: torch.Tensor, metric: str, target: int, method: str = "gradient") -> Judgement:
    given = explain(model, x, method, target=target)
    assert isinstance(given, Attribution)
    found = evaluate(model, given, metric)
    assert isinstance(found, Judgement)
    return found


def noise(radius: float, samples: int, kind: str = "uniform") -> list[torch.Tensor]:
    nearby = Nearby(torch.ones(1), radius, kind, 0, samples)
    return [nearby.offset(place, picture(*SIZE)) for place in range(samples)]


def test_captum_sensitivity_max() -> None:
    metrics = pytest.importorskip("captum.metrics")
    model, x = smooth(), picture(*SIZE)
    drawn = torch.cat(noise(0.02, 10))

    def explanation(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        given = inputs[0] if isinstance(inputs, tuple) else inputs
        with torch.enable_grad():
            return (gradient_of(model, given, lambda scores: scores[:, 2]).sum(1, keepdim=True),)

    theirs = metrics.sensitivity_max(
        explanation, x, perturb_func=lambda inputs: (inputs[0] + drawn,), n_perturb_samples=10
    )
    found = judged(model, x, "max-sensitivity", 2)
    assert found.value == pytest.approx(float(theirs), rel=1e-4)
    assert found.value > 1e-3


@pytest.mark.parametrize(("name", "theirs"), [("max", "MaxSensitivity"), ("average", "AvgSensitivity")])
def test_quantus_sensitivity(name: str, theirs: str) -> None:
    quantus = pytest.importorskip("quantus")
    model, x, drawn = smooth(), picture(*SIZE), noise(0.2, 6)
    given = iter(drawn)
    metric = getattr(quantus, theirs)(
        nr_samples=6,
        perturb_func=lambda arr, **_: arr + next(given).flatten(1).numpy(),
        normalise=False,
        abs=False,
        disable_warnings=True,
    )
    found = metric(model, x.numpy(), np.array([2]), explain_func=gradients, device="cpu")
    assert judged(model, x, f"{name}-sensitivity(radius=0.2, samples=6)", 2).value == pytest.approx(
        float(found[0]), rel=1e-4
    )


def test_quantus_local_lipschitz() -> None:
    quantus = pytest.importorskip("quantus")
    model, x, drawn = smooth(), picture(*SIZE), noise(0.1, 6, "normal")
    given = iter(drawn)
    metric = quantus.LocalLipschitzEstimate(
        nr_samples=6,
        norm_numerator=quantus.distance_euclidean,
        perturb_func=lambda arr, **_: arr + next(given).flatten(1).numpy(),
        normalise=False,
        disable_warnings=True,
    )
    theirs = metric(model, x.numpy(), np.array([2]), explain_func=gradients, device="cpu")
    found = judged(model, x, "local-lipschitz(samples=6, noise=normal, relative=false)", 2)
    assert found.value == pytest.approx(float(theirs[0]), rel=1e-3)


def one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantus draws every layer from the same seed, 42 + 1."""

    def same(module: torch.nn.Module, _generator: torch.Generator) -> None:
        redraw(module, torch.Generator().manual_seed(43))

    monkeypatch.setattr(cascade, "redraw", same)


@pytest.mark.parametrize("order", ["top-down", "bottom-up", "independent"])
def test_quantus_mprt(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quantus = pytest.importorskip("quantus")
    one_seed(monkeypatch)
    model, x = smooth(), picture(*SIZE)
    metric = quantus.MPRT(
        layer_order=order.replace("-", "_"), normalise=False, abs=False, disable_warnings=True, seed=42
    )
    state = torch.random.get_rng_state()
    theirs = metric(model, x.numpy(), np.array([2]), explain_func=gradients, device="cpu")
    torch.random.set_rng_state(state)  # Quantus draws from the global one
    found = judged(model, x, f"parameter-randomisation(order={order}, stages=0)", 2)
    layers = [name for name in theirs if name != "original"]
    for name in layers:
        assert found.details[name] == pytest.approx(theirs[name][0], abs=2e-3), name
    assert found.value == pytest.approx(np.mean([theirs[name][0] for name in layers]), abs=2e-3)


def test_quantus_smooth_mprt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both over the same noisy copies; Quantus' last one is the picture itself."""
    quantus = pytest.importorskip("quantus")
    one_seed(monkeypatch)
    model, x, copies = smooth(), picture(*SIZE), 5
    drawn = np.random.default_rng(1).normal(size=(copies, *x.shape)).astype(np.float32)
    drawn[-1] = 0
    spread = 0.2 * float(x.max() - x.min())
    given = itertools.cycle(drawn[:-1])

    def same(_passes: Any, pixels: torch.Tensor, **_: Any) -> Iterator[tuple[int, torch.Tensor]]:
        for one in drawn:
            yield 1, pixels + spread * torch.from_numpy(one)

    monkeypatch.setattr(noisy, "noisy_copies", same)
    metric = quantus.SmoothMPRT(
        layer_order="top_down", nr_samples=copies, noise_magnitude=0.2, normalise=False, abs=False,
        disable_warnings=True, seed=42,
    )  # fmt: skip
    state, a_batch = (
        torch.random.get_rng_state(),
        sum(gradients(model, x + spread * one, [2]) for one in drawn) / copies,
    )
    with monkeypatch.context() as patched:
        patched.setattr(np.random, "randn", lambda *_: next(given))
        theirs = metric(model, x.numpy(), np.array([2]), a_batch=a_batch, explain_func=gradients, device="cpu")
    torch.random.set_rng_state(state)
    found = judged(model, x, f"parameter-randomisation(stages=0, samples={copies}, spread=0.2)", 2)
    layers = [name for name in theirs if name != "original"]
    for name in layers:
        assert found.details[name] == pytest.approx(theirs[name][0], abs=2e-3), name
    plain = judged(model, x, "parameter-randomisation(stages=0)", 2)
    assert abs(found.value - plain.value) > 1e-3  # the noise matters


@pytest.mark.parametrize(("method", "stays"), [("gradient", True), ("input-times-gradient", False)])
def test_quantus_input_invariance(method: str, stays: bool) -> None:
    """Its answer is yes or no, by a first layer without padding whose bias takes the shift away."""
    quantus = pytest.importorskip("quantus")
    first = nn.Conv2d(3, 4, 5)
    model = seeded(nn.Sequential(first, nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    x = picture(*SIZE)

    def explained(model: Any, inputs: Any, targets: Any, **_: Any) -> np.ndarray:
        values = torch.as_tensor(np.asarray(inputs), dtype=torch.float32)
        rows = torch.as_tensor(np.asarray(targets)).long()
        slope = gradient_of(model, values, lambda scores: scores.gather(1, rows[:, None]))
        return (slope if stays else slope * values).sum(1, keepdim=True).numpy()

    metric = quantus.InputInvariance(input_shift=-1, disable_warnings=True)
    theirs = metric(model, x.numpy(), np.array([2]), a_batch=None, explain_func=explained, device="cpu")
    found = judged(model, x, "input-invariance(shift=-1)", 2, method).value
    assert bool(np.asarray(theirs).ravel()[0]) is stays
    assert (found < 1e-4) is stays


def test_quantus_efficient_mprt(monkeypatch: pytest.MonkeyPatch) -> None:
    quantus = pytest.importorskip("quantus")
    one_seed(monkeypatch)
    model, x = smooth(), picture(*SIZE)
    metric = quantus.EfficientMPRT(
        layer_order="top_down",
        complexity_func_kwargs={"n_bins": 100},
        skip_layers=True,
        compute_extra_scores=False,
        normalise=False,
        abs=True,
        disable_warnings=True,
        seed=42,
    )
    state = torch.random.get_rng_state()
    theirs = metric(model, x.numpy(), np.array([2]), explain_func=gradients, device="cpu")
    torch.random.set_rng_state(state)
    found = judged(model, x, "efficient-parameter-randomisation", 2)
    assert found.value == pytest.approx(float(np.asarray(theirs).ravel()[0]), abs=0.01)
    assert abs(found.value) > 0.02


def test_quantus_random_logit() -> None:
    quantus = pytest.importorskip("quantus")
    model, x = smooth(classes=2), picture(*SIZE)  # two classes: the other one is drawn by both
    metric = quantus.RandomLogit(
        similarity_func=quantus.correlation_spearman,
        num_classes=2,
        normalise=False,
        abs=False,
        disable_warnings=True,
    )
    state = np.random.get_state()
    theirs = metric(model, x.numpy(), np.array([1]), explain_func=gradients, device="cpu")
    np.random.set_state(state)
    found = judged(model, x, "random-logit(similarity=spearman)", 1)
    assert found.value == pytest.approx(float(np.asarray(theirs).ravel()[0]), abs=1e-3)
