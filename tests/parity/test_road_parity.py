"""ROAD beside pytorch-grad-cam's and Quantus', where the definitions coincide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.evaluation.base import Question
from sightline.evaluation.faithfulness.road import Road
from sightline.images.frame import Frame
from sightline.images.imputation import impute
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import picture, smooth

SIZE = (20, 30)  # 600 pixels: every percentage is a whole number of them, by both packages' rounding


def map_of(kind: str) -> np.ndarray:
    random = np.random.default_rng(2)
    down, right = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.exp(-((down - 8) ** 2 + (right - 17) ** 2) / 60) + 1e-4 * random.random(SIZE)
    return {"dust": random.random(SIZE), "disc": disc}[kind].astype(np.float32)


def ours(map: np.ndarray, x: torch.Tensor, target: int, **fields: object) -> float:
    question = Question(pixels=x, map=map, picture_map=map, target=Target.of(target), frame=Frame.whole(*SIZE))
    return Road(noise=0, **fields)(Passes(wrap(smooth(), head="softmax")), question).value  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["dust", "disc"])
@pytest.mark.parametrize("percentages", [(10, 20, 30, 40, 50, 60, 70, 80, 90), (25, 75)])
def test_pytorch_grad_cam(kind: str, percentages: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    monkeypatch.setattr(road.NoisyLinearImputer.__init__, "__defaults__", (0.0, road.neighbors_weights))
    map, x, network = map_of(kind), 6 * picture(*SIZE), smooth()
    wanted = [targets.ClassifierOutputSoftmaxTarget(2)]
    for theirs, order, sign in (
        (road.ROADCombined, "combined", 1),
        (road.ROADMostRelevantFirstAverage, "most-relevant-first", -1),
        (road.ROADLeastRelevantFirstAverage, "least-relevant-first", 1),
    ):
        expected = float(theirs(list(percentages))(x, map[None], wanted, network)[0]) * sign
        assert abs(expected) > 2e-4
        assert ours(map, x, 2, percentages=percentages, order=order) == pytest.approx(expected, abs=1e-5)


def test_the_imputation_is_theirs() -> None:
    imputer = pytest.importorskip("pytorch_grad_cam.metrics.road").NoisyLinearImputer(noise=0.0)
    x, map = picture(*SIZE), map_of("disc")
    for share in (10, 50, 90):
        hidden = torch.from_numpy(map >= np.percentile(map, 100 - share))
        theirs = imputer(x[0], (~hidden).float())
        assert float((impute(x, hidden[None])[0] - theirs).abs().max()) < 1e-4


def test_quantus() -> None:
    """Quantus says, for each percentage, whether the target is still the top class, most relevant first.

    Its ROAD takes maps with as many values as the picture, so a picture of one channel.
    """
    quantus = pytest.importorskip("quantus")
    x, map = picture(*SIZE)[:, :1], map_of("disc")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(map.size, 2)).eval()
    with torch.no_grad():  # the top class changes where the mean over the disc does
        part = torch.from_numpy((map > 0.5).ravel()).float()
        network[1].weight.copy_(torch.stack([part, -part]) * 40 / part.sum())
        network[1].bias.copy_(torch.tensor([-1.0, 1.0]) * 40 * (x.flatten() @ part / part.sum() - 0.002))
    shares = [5, 20, 45, 70, 95]
    metric = quantus.ROAD(percentages=shares, noise=0.0, normalise=False, disable_warnings=True)
    theirs = metric(network, x.numpy(), np.array([0]), a_batch=map[None, None], device="cpu")
    question = Question(pixels=x, map=map, picture_map=map, target=Target.of(0), frame=Frame.whole(*SIZE))
    road = Road(percentages=tuple(shares), order="most-relevant-first", score="accuracy", noise=0)
    found = road(Passes(wrap(network, head="softmax")), question).details
    assert [found[f"most-relevant-first {share}%"] for share in shares] == [float(theirs[share]) for share in shares]
    assert {found[f"most-relevant-first {share}%"] for share in shares} == {0.0, 1.0}
