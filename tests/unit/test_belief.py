"""How far a map can be believed: known maps of a network whose evidence is known, and what the command says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.attribution.result import Attribution
from sightline.cli.main import main
from sightline.evaluation.belief import COPIES, NOISES, Belief, beliefs
from sightline.models.classifier import wrap
from sightline.passes.passes import Passes

SIZE = 32
SPOT = (slice(20, 26), slice(4, 10))


class Spot(nn.Module):
    """Looks at one spot alone: the brighter it is, the more class 0; `bias` shifts the score of class 0."""

    def __init__(self, bias: float = -3.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        score = 6 * pixels[..., SPOT[0], SPOT[1]].mean((1, 2, 3)) + self.bias
        return torch.stack([score, torch.zeros_like(score)], 1)


def judged(map: np.ndarray, network: nn.Module | None = None) -> Belief:
    classifier = wrap(network or Spot())
    pixels = torch.full((1, 3, SIZE, SIZE), 0.5)
    pixels[..., SPOT[0], SPOT[1]] = 1
    made = sightline.explain(classifier, pixels, "gradient", target=0)
    assert isinstance(made, Attribution)
    one = dataclasses.replace(made, map=map.astype(np.float32))
    (found,) = beliefs(Passes(classifier), [one])
    return found


def there() -> np.ndarray:
    map = np.random.default_rng(0).random((SIZE, SIZE)) * 0.01
    map[SPOT] += 1
    return map


def test_a_map_of_the_evidence_is_believed_and_one_that_points_away_is_not() -> None:
    good = judged(there())
    assert good.level == "strong"
    assert good.beaten == COPIES
    assert good.ahead is not None
    assert good.ahead > 2
    away = judged(np.roll(there(), (0, 15), (0, 1)))
    assert away.level == "none"
    assert "Pointing elsewhere would have done about as well" in " ".join(away.sentences)


def test_the_numbers_are_those_of_the_metrics() -> None:
    found, map = judged(there()), there().astype(np.float32)
    pixels = torch.full((1, 3, SIZE, SIZE), 0.5)
    pixels[..., SPOT[0], SPOT[1]] = 1
    each = sightline.evaluate(
        wrap(Spot()), map, ["deletion(steps=14)", "insertion(steps=14)"], picture=pixels, target=0
    )
    assert [one.judgement.value for one in found.besides] == pytest.approx([one.value for one in each])
    deletion, insertion = found.besides
    own = insertion.judgement.value - deletion.judgement.value
    copies = np.array(insertion.moved) - np.array(deletion.moved)
    assert found.ahead == pytest.approx((own - copies.mean()) / copies.std(ddof=1))
    assert [len(one.noise) for one in found.besides] == [NOISES, NOISES]
    json.dumps(found.record(), allow_nan=False)


def test_flat_faint_and_one_signed_maps_are_told() -> None:
    flat = judged(np.ones((SIZE, SIZE)))
    assert (flat.level, flat.ahead) == ("none", None)
    assert "the same everywhere" in flat.sentences[0]
    faint = judged(there(), Spot(bias=-12.0))
    assert faint.level == "unclear"
    assert "little to lose" in faint.sentences[0]
    assert any("for the class only" in one for one in judged(there()).sentences)
    assert any("against the class only" in one for one in judged(-1 - there()).sentences)


def test_a_method_that_does_not_tell_classes_apart_is_told() -> None:
    made = sightline.explain("demo", np.zeros((64, 64, 3), np.uint8) + 90, ["eigen-cam"])
    assert isinstance(made, list)
    noisy = dataclasses.replace(made[0], map=np.random.default_rng(0).random(made[0].map.shape).astype(np.float32))
    (found,) = beliefs(Passes(sightline.load("demo")), [noisy])
    assert found.other is None or abs(found.other.correlation) < 0.5  # noise is not like the method's own map


def test_the_command_says_it_in_words_in_the_report_and_in_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["explain", "demo:owl", "--method", "grad-cam", "--method", "eigen-cam", "--judge", "--quiet"]
    assert main([*words, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "copies of itself" in out
    manifest = json.loads(Path("run/manifest.json").read_text())
    grad, eigen = (record["belief"] for record in manifest["records"])
    assert (grad["beaten"], grad["of"]) == (10, 10)
    assert eigen["other_class"]["correlation"] > 0.9
    assert "almost the same map for" in " ".join(eigen["sentences"])
    page = Path("run/report.html").read_text("utf-8")
    assert page.count("How far to believe it") == 2
    assert manifest["totals"]["passes"]["forward"] > 600
    assert main(["show", "run"]) == 0
    assert "copies of itself" in capsys.readouterr().out


def test_where_nothing_that_is_hidden_moves_the_network_nothing_is_concluded() -> None:
    certain = judged(there(), Spot(bias=200.0))
    assert (certain.level, certain.ahead) == ("unclear", None)
    assert "whatever part is hidden" in certain.sentences[0]
