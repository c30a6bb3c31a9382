"""A plan tells the passes of every method before they are run, and runs no method."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import sightline
from sightline.attribution.base import Maps, Method, Needs
from sightline.attribution.result import Attribution
from sightline.attribution.table import METHODS
from sightline.cli.main import main
from sightline.errors import LayerError, MissingExtraError, NotSupportedError, UsageError
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from sightline.runs.plan import Plan, plan
from sightline.testing.architectures import Plain
from sightline.testing.networks import Specimen, networks, seeded
from sightline.types import Pixels


def _cheap() -> dict[str, tuple[str, ...]]:
    """The fields that the contract gives to methods, so that they are cheap on small networks."""
    place = Path(__file__).parents[1] / "contract" / "test_contract.py"
    known = importlib.util.spec_from_file_location("contract_specs", place)
    assert known is not None
    assert known.loader is not None
    module = importlib.util.module_from_spec(known)
    sys.modules["contract_specs"] = module
    known.loader.exec_module(module)
    return module.CHEAP


MORE = (
    "occlusion(window=6, stride=5, edge=2)",
    "occlusion(window=4, stride=2)",
    "rise(cells=4, samples=600, until=0.5)",
    "shapley-sampling(regions=grid(rows=2, columns=2), samples=20, until=0.5)",
    "i-gos(iterations=3, points=2, size=8, optimiser=line-search)",
    "igos-plus(iterations=2, points=2, size=8, optimiser=line-search, judge=mask, lowering=true)",
    "extremal-perturbation(iterations=2, rate=1, step=3, sigma=3, areas=(0.1, 0.2), variant=dual)",
    "integrated-gradients(steps=3, baseline=uniform, draws=2)",
    "idgi(of=blur-ig(steps=3))",
    "smooth-grad(of=input-times-gradient, samples=2)",
    "smooth-grad(of=cam, samples=2)",
    "smooth-grad(of=finer-cam, samples=2)",
    "smooth-grad(of=occlusion(window=8, stride=8), samples=2)",
    "smooth-grad(of=integrated-gradients(steps=2), samples=2)",
    "finer-cam(of=score-cam)",
    "fused-cam(of=eigen-cam, grids=2)",
    "refine-cam(of=score-cam(channels=2))",
    "guided-grad-cam(of=gradient, by=layer-cam)",
    "group-cam(groups=5)",
    "poly-cam(grids=1, weight=minus)",
)
SPECS = [spec for name in METHODS for spec in _cheap().get(name, (name,))] + list(MORE)
NETWORKS = {specimen.name: specimen for specimen in networks()}
ON_TOKENS = (
    "legrad", "attention-rollout", "attention-relevance", "eigen-cam", "hires-cam", "grad-cam", "cam", "gradient",
    "ablation-cam", "poly-cam(channels=4)", "smooth-grad(of=cam, samples=2)", "occlusion(window=8, stride=8)",
    "deep-feature-factorisation(concepts=3)", "refine-cam(of=score-cam(channels=2))", "excitation-backprop", "attn-lrp",
)  # fmt: skip
"""What meets transformers, too: the others ask nothing there that they do not ask elsewhere."""
CELLS = [(spec, NETWORKS["residual"]) for spec in SPECS if spec not in ("legrad", *ON_TOKENS[1:3])]
CELLS += [(spec, NETWORKS[name]) for spec in ON_TOKENS for name in ("mean of tokens", "class token")]
CELLS += [(spec, NETWORKS["forward only"]) for spec in SPECS if METHODS.make(spec).traits.needs is Needs.SCORES]


@pytest.mark.parametrize(("spec", "specimen"), CELLS, ids=lambda part: getattr(part, "name", part))
def test_planned_passes_are_those_that_are_run(spec: str, specimen: Specimen) -> None:
    network = specimen.wrapped(specimen.build())
    pixels = specimen.pixels()[0]
    try:
        (found,) = plan(network, pixels, spec)
        made = explain(network, pixels, spec)
    except (NotSupportedError, LayerError) as refusal:
        pytest.skip(f"refused: {refusal}")
    except MissingExtraError as missing:
        pytest.skip(str(missing))
    assert isinstance(made, Attribution)
    if found.at_most:
        assert found.passes.forward >= made.passes.forward
        assert found.passes.backward >= made.passes.backward
    else:
        assert found.passes == made.passes


def test_what_stops_early_or_tries_says_so() -> None:
    network, pixels = seeded(Plain)(), torch.rand(3, 16, 24)
    exact = {spec: plan(network, pixels, spec)[0].at_most for spec in ("rise(samples=60)", "score-cam", "grad-cam")}
    assert not any(exact.values()), exact
    for spec in ("rise(samples=600, until=0.5)", "partition-shap", "i-gos(optimiser=line-search)"):
        assert plan(network, pixels, spec)[0].at_most, spec


class Counting(nn.Module):
    """Counts the pictures that go forward."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.forwards = seeded(Plain)(), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.forwards += len(x)
        return self.network(x)


def test_a_plan_runs_no_method() -> None:
    counted = Counting()
    specs = ["rise", "score-cam", "extremal-perturbation", "integrated-gradients"]
    found = plan(counted, torch.rand(3, 16, 24), specs)
    assert sum(one.passes.forward for one in found) > 4800
    assert counted.forwards < 60


def test_a_plan_tells_time_batch_and_memory() -> None:
    network, pixels = seeded(Plain)(), torch.rand(3, 64, 64)
    few, many = plan(network, pixels, ["rise(samples=100)", "rise(samples=10000)"])
    assert 50 < many.seconds / few.seconds < 200
    gradients = plan(network, pixels, "integrated-gradients(steps=100)")[0]
    assert gradients.seconds > few.seconds
    tight = plan(network, pixels, "rise(samples=100)", memory=1)[0]
    assert tight.batch == 1
    assert tight.memory < few.memory
    assert few.memory <= 1 << 30
    once = plan(network, pixels, "grad-cam")[0]
    assert (once.batch, once.passes.forward, once.passes.backward) == (1, 1, 1)
    assert once.record()["passes"] == {"forward": 1, "backward": 1}


class Silent(Method):
    """A plug-in that does not tell its cost."""

    name = "silent"
    traits = METHODS["gradient"].traits

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=passes.gradients(pixels, target))


def test_what_cannot_be_planned_is_refused() -> None:
    network, pixels = seeded(Plain)(), torch.rand(3, 16, 24)
    with pytest.raises(UsageError, match="one picture, got 2"):
        plan(network, [pixels, pixels])
    with pytest.raises(NotSupportedError, match="silent does not tell"):
        plan(network, pixels, Silent())
    with pytest.raises(NotSupportedError, match="forward-only"):
        plan(lambda x: x.flatten(1)[:, :4], pixels, "gradient")
    with pytest.raises(LayerError, match="did you mean"):
        plan(network, pixels, "grad-cam(layer=conv9)")


def test_plan_is_a_public_name() -> None:
    assert sightline.plan is plan
    assert sightline.Plan is Plan


def test_the_command_tells_the_plan_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = ["explain", "demo:dog-and-cat", "demo:dog-with-bell", "--method", "rise(samples=300)"]
    words += ["--method", "partition-shap", "--method", "grad-cam", "--metric", "deletion", "--out", str(out), "--plan"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert lines[1][0] == "301"
    assert lines[2][:2] == ["≤", "501"]
    assert lines[3][:2] == ["1", "1"]
    assert "For 2 pictures" in printed
    assert "Metrics are not counted" in printed
    assert not out.exists()
    assert main([*words, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [one["passes"]["forward"] for one in records] == [301, 501, 1]
    assert [one["at_most"] for one in records] == [False, True, False]


def test_the_command_refuses_a_plan_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "demo:dog-and-cat", "--method", "legrad", "--plan"]) == 2
    assert "hand on tokens" in capsys.readouterr().err
