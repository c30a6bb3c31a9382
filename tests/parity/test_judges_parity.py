"""The metrics of faithfulness and complexity beside other packages', where the definitions coincide."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sightline.evaluation.base import Question, Value
from sightline.evaluation.faithfulness.shifts import Added
from sightline.evaluation.faithfulness.subsets import Hidden, pixelwise
from sightline.evaluation.table import METRICS
from sightline.images.frame import Frame
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import seeded

SIZE = (24, 32)
CLASS = 1


class Net(nn.Module):
    """Smooth; probabilities of the usual picture lie in the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = seeded(
            nn.Sequential(
                nn.Conv2d(channels, 5, 3, padding=1),
                nn.Tanh(),
                nn.Conv2d(5, 6, 3, stride=2, padding=1),
                nn.Tanh(),
                nn.Flatten(),
                nn.Linear(6 * SIZE[0] * SIZE[1] // 4, 3),
            )
        )
        with torch.no_grad():
            self.register_buffer("usual", self.inner(picture(channels)) - torch.tensor([0.0, 0.03, 0.0]))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 8 * (self.inner(pixels) - self.usual)


def picture(channels: int) -> torch.Tensor:
    """Its smallest value is 0, so that black is the smallest value of the picture as well as of the range."""
    pixels = torch.rand(1, channels, *SIZE, generator=torch.Generator().manual_seed(4))
    pixels[0, :, 3, 5] = 0
    return pixels


def a_map(positive: bool = False) -> np.ndarray:
    random = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
    return np.abs(random) if positive else random


def ours(text: str, map: np.ndarray, channels: int = 1) -> Value:
    question = Question(
        pixels=picture(channels), map=map, picture_map=map, target=Target.of(CLASS), frame=Frame.whole(*SIZE)
    )
    return METRICS.make(text)(Passes(wrap(Net(channels).eval(), head="softmax")), question)


@pytest.fixture
def quantus(monkeypatch: pytest.MonkeyPatch) -> Any:
    package = pytest.importorskip("quantus")
    if not hasattr(np, "trapz"):  # it still asks for the name that NumPy has dropped
        monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    return package


def theirs(metric: Any, map: np.ndarray, channels: int = 1) -> Any:
    network = Net(channels).eval()
    return metric(network, picture(channels).numpy(), np.array([CLASS]), a_batch=map[None, None].copy(), device="cpu")[
        0
    ]


PLAIN: dict[str, Any] = {"normalise": False, "abs": False, "disable_warnings": True}


# ---- Quantus ---------------------------------------------------------------------------------------------------------


def test_quantus_pixel_flipping(quantus: Any) -> None:
    metric = quantus.PixelFlipping(features_in_step=48, perturb_baseline="black", **PLAIN)
    expected = np.array(theirs(metric, a_map()))
    found = ours("pixel-flipping(steps=16, base=black)", a_map())
    assert found.curve is not None
    np.testing.assert_allclose(found.curve.y[1:], expected, atol=1e-5)
    assert np.ptp(expected) > 0.05


@pytest.mark.parametrize(("order", "sign"), [("morf", 1), ("lerf", -1)])
def test_quantus_region_perturbation(quantus: Any, order: str, sign: int) -> None:
    metric = quantus.RegionPerturbation(
        patch_size=4, regions_evaluation=20, order=order, perturb_baseline="black", **PLAIN
    )
    expected = np.array(theirs(metric, a_map()))
    name = {"morf": "most-relevant-first", "lerf": "least-relevant-first"}[order]
    found = ours(f"region-perturbation(window=4, regions=20, order={name}, base=black)", a_map())
    assert found.curve is not None
    np.testing.assert_allclose(sign * found.curve.y[1:], expected, atol=1e-5)
    assert found.value == pytest.approx(sign * expected.sum() / 21, abs=1e-6)
    assert np.ptp(expected) > 0.05


def test_quantus_selectivity(quantus: Any) -> None:
    """What is left after 1, 2, … squares: the curve of region perturbation, turned round."""
    expected = np.array(theirs(quantus.Selectivity(patch_size=4, perturb_baseline="black", **PLAIN), a_map()))
    found = ours("region-perturbation(window=4, regions=48, base=black)", a_map())
    assert found.curve is not None
    np.testing.assert_allclose(found.details["clean"] - found.curve.y[1:], expected, atol=1e-5)
    assert len(expected) == 48
    assert np.ptp(expected) > 0.05


def test_quantus_monotonicity_is_always_true(quantus: Any) -> None:
    """It replaces its base by itself, so that no map could fail; that of the paper does."""
    metric = quantus.Monotonicity(features_in_step=48, perturb_baseline="black", **PLAIN)
    assert theirs(metric, a_map())
    assert theirs(metric, -a_map())
    assert ours("monotonicity(steps=16, base=black, count=all)", a_map()).value == 0


def test_quantus_irof(quantus: Any, tmp_path: Path) -> None:
    segmentation = pytest.importorskip("skimage.segmentation")
    cut = segmentation.slic(picture(1)[0].permute(1, 2, 0).double().numpy(), start_label=0)  # as it cuts, one channel
    np.save(tmp_path / "cut.npy", cut)
    metric = quantus.IROF(segmentation_method="slic", perturb_baseline=0.0, return_aggregate=False, **PLAIN)
    found = ours(f'irof(regions=from-file(path="{tmp_path / "cut.npy"}"), base=black)', a_map())
    assert found.curve is not None
    heights = found.curve.y[1:]
    assert len(heights) > 20
    assert len(heights) - np.trapezoid(heights) == pytest.approx(float(theirs(metric, a_map())), abs=1e-3)


def test_quantus_faithfulness_correlation(quantus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = Hidden(pixelwise(a_map()), (40,) * 30, picture(1), seed=0)
    draws = iter([np.flatnonzero(row) for row in hidden.drawn(slice(0, 30))])
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(draws))
    metric = quantus.FaithfulnessCorrelation(
        nr_runs=30, subset_size=40, perturb_baseline="black", return_aggregate=False, **PLAIN
    )
    expected = theirs(metric, a_map())
    found = ours("faithfulness-correlation(samples=30, subset=40, base=black)", a_map())
    assert found.value == pytest.approx(float(expected), abs=1e-4)


def test_quantus_monotonicity_correlation(quantus: Any) -> None:
    noise = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0)).numpy().reshape(1, -1)

    def fill(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
        changed = arr.copy()
        changed[:, indices] = noise[:, indices]
        return changed

    metric = quantus.MonotonicityCorrelation(
        nr_samples=1, features_in_step=1, perturb_func=fill, normalise=False, abs=True, disable_warnings=True
    )
    expected = theirs(metric, a_map())
    grid = f"grid(rows={SIZE[0]}, columns={SIZE[1]})"
    found = ours(f"monotonicity-correlation(regions={grid}, samples=1)", a_map())
    assert found.value == pytest.approx(float(expected), abs=2e-3)


def test_quantus_complexity(quantus: Any) -> None:
    more = {"normalise": False, "abs": True, "disable_warnings": True}
    assert ours("gini", a_map()).value == pytest.approx(float(theirs(quantus.Sparseness(**more), a_map())), abs=1e-5)
    assert ours("entropy", a_map()).value == pytest.approx(float(theirs(quantus.Complexity(**more), a_map())), abs=1e-5)
    counting = quantus.EffectiveComplexity(eps=0.3, normalise=True, abs=True, disable_warnings=True)
    assert ours("effective-size(above=0.3)", a_map()).details["pixels"] == int(theirs(counting, a_map()))


def test_quantus_completeness_is_spoilt_by_rounding(quantus: Any) -> None:
    """Quantus wants the two to be equal to the last bit."""
    map, gap = np.zeros(SIZE, np.float32), ours("completeness", np.zeros(SIZE, np.float32)).details["difference"]
    map[0, 0] = gap
    metric = quantus.Completeness(perturb_baseline="black", **PLAIN)
    assert ours("completeness", map).value < 1e-6
    assert not theirs(metric, 2 * map)
    assert ours("completeness", 2 * map).value == pytest.approx(abs(gap), abs=1e-6)


# ---- captum ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["none", "optimal"])
def test_captum_infidelity(scale: str) -> None:
    infidelity = pytest.importorskip("captum.metrics").infidelity
    pixels, map = picture(3), a_map() / 20
    noise = Added(12, 0.2, torch.zeros(1), torch.ones(1), seed=0)
    place = iter(range(12))

    def perturb(given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shown = torch.cat([noise.make(pixels, slice(j, j + 1)) for j in (next(place) for _ in given)])
        return given - shown, shown

    expected = infidelity(
        Net(3).eval(),
        perturb,
        pixels,
        torch.from_numpy(map).expand(1, 3, *SIZE),
        target=CLASS,
        n_perturb_samples=12,
        max_examples_per_batch=1,
        normalize=scale == "optimal",
    )
    found = ours(f"infidelity(form=noise, samples=12, scale={scale})", map, channels=3)
    assert found.value == pytest.approx(float(expected), rel=1e-3)


# ---- torchcam and pytorch-grad-cam -----------------------------------------------------------------------------------


class Extractor:
    """Gives one map, as a torchcam extractor would."""

    def __init__(self, model: nn.Module, map: torch.Tensor) -> None:
        self.model, self.map = model, map

    def __call__(self, *_: object, **__: object) -> list[torch.Tensor]:
        return [self.map[None]]

    def fuse_cams(self, cams: list[torch.Tensor]) -> torch.Tensor:
        return cams[0]

    def _hooks_off(self) -> nullcontext:
        return nullcontext()


@pytest.mark.parametrize("sharpen", [0.02, 1, 6])
def test_torchcam_and_pytorch_grad_cam(sharpen: float) -> None:
    metrics = pytest.importorskip("torchcam.metrics")
    changes = pytest.importorskip("pytorch_grad_cam.metrics.cam_mult_image")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    model, pixels = Net(3).eval(), picture(3)
    map = a_map(positive=True) ** np.float32(sharpen)
    mask = (map - map.min()) / (map.max() - map.min())
    theirs = metrics.ClassificationMetric(Extractor(model, torch.from_numpy(mask)), lambda scores: scores.softmax(-1))
    theirs.update(pixels, CLASS)
    black = "base=black"  # without a preparation 0 is black here, and the mean colour where there is one
    drop, increase = (ours(f"{name}({black})", map, channels=3) for name in ("average-drop", "average-increase"))
    assert drop.value == pytest.approx(theirs.summary()["avg_drop"], abs=1e-5)
    assert increase.value == theirs.summary()["conf_increase"]
    wanted = [targets.ClassifierOutputSoftmaxTarget(CLASS)]
    undivided = float(changes.DropInConfidence()(pixels, mask[None], wanted, model)[0])
    assert drop.value * drop.details["whole"] == pytest.approx(undivided, abs=1e-5)
    assert increase.value == float(changes.IncreaseInConfidence()(pixels, mask[None], wanted, model)[0])


# ---- PAIR's information curves ---------------------------------------------------------------------------------------


class Grain(nn.Module):
    """Class 1 is how much neighbours differ in one corner."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        corner = pixels[:, :, :10, :10]
        grain = (corner[..., 1:] - corner[..., :-1]).abs().mean((1, 2, 3))
        return torch.stack([torch.zeros_like(grain), 120 * (grain - 0.12)], 1)


@pytest.mark.parametrize("curve", ["sic", "aic"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_information_curves_of_saliency(curve: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pic = pytest.importorskip("saliency.metrics.pic")
    from sightline.evaluation.faithfulness.information import known_at_random

    if not hasattr(np, "trapz"):
        monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    slope = torch.linspace(0, 0.5, SIZE[1]).expand(1, 3, *SIZE)
    pixels = ((slope + picture(3) / 2) * 255).round() / 255
    levels, map = (pixels * 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy(), a_map()
    map[:10, :10] += 1
    thresholds, model = [0.05, 0.1, 0.2, 0.4, 0.7], Grain()

    def asked(pictures: np.ndarray) -> list[float]:
        with torch.no_grad():
            scores = model(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
        return [float(one.softmax(0)[CLASS]) if curve == "sic" else float(one.argmax() == CLASS) for one in scores]

    known = known_at_random(*SIZE, 0.05, seed)
    expected = pic.compute_pic_metric(levels, map, known, asked, thresholds, min_pred_value=0.0)
    text = f"pic(curve={curve}, thresholds={tuple(thresholds)}, start=0.05, seed={seed})"
    frame, target = Frame.whole(*SIZE), Target.of(CLASS)
    question = Question(pixels=pixels, map=map, picture_map=map, target=target, frame=frame)
    found = METRICS.make(text)(Passes(wrap(model, head="softmax")), question)
    # they round from float32, so that a few bytes differ, which tell in a picture as small as this one
    assert found.value == pytest.approx(expected.auc, abs=0.01)
    assert 0.1 < found.value < 0.99
