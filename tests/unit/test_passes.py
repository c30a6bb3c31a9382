"""Passes: what they cost, what they share, how they keep to a budget, how they are cancelled, what they refuse."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import nn

from sightline.attribution.result import Attribution
from sightline.attribution.table import METHODS
from sightline.errors import CancelledError, LayerError, ModelError, NotSupportedError, TargetError
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Path, Windows
from sightline.passes.plan import batch_size
from sightline.runs.explain import explain
from sightline.testing.networks import Plain, Tokens, networks, seeded
from sightline.types import Count


class Counting(nn.Module):
    """Counts the pictures that go forward, and the gradients that reach its end, one a picture."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.forwards, self.backwards, self.batches = network, 0, 0, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.forwards += len(x)
        self.batches.append(len(x))
        scores: torch.Tensor = self.network(x)
        if scores.requires_grad:
            scores.register_hook(self._backward)
        return scores

    def _backward(self, gradient: torch.Tensor) -> None:
        self.backwards += int(gradient.flatten(1).any(1).sum())

    def forget(self) -> None:
        self.forwards, self.backwards, self.batches = 0, 0, []


def counting(network: nn.Module | None = None) -> Counting:
    return Counting(network if network is not None else seeded(Plain)())


def pictures(count: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 16, 24, generator=torch.Generator().manual_seed(seed))


SPECS = [
    "occlusion(window=6, stride=5)",
    "gradient",
    "integrated-gradients(steps=5)",
    "integrated-gradients(steps=3, baseline=uniform, draws=2)",
    "smooth-grad(samples=4)",
    "smooth-grad(of=grad-cam, samples=4)",
    "cam",
    "grad-cam",
    "grad-cam(layer=network.conv1)",
]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("network", [None, seeded(lambda: Tokens(1))()], ids=["convolutional", "transformer"])
def test_counts_are_what_was_run(spec: str, network: nn.Module | None) -> None:
    if network is not None and (spec == "cam" or "conv1" in spec):
        return
    counted = counting(network)
    for call in ("first", "second"):
        counted.forget()
        found = explain(counted, pictures(), spec)
        assert isinstance(found, Attribution)
        assert found.passes == Count(counted.forwards, counted.backwards), f"{call} call"


@pytest.mark.parametrize("network", [None, seeded(lambda: Tokens(1))()], ids=["convolutional", "transformer"])
def test_grad_cam_costs_one_pass_each_way_from_the_first_call_on(network: nn.Module | None) -> None:
    counted = counting(network)
    for _ in range(3):
        found = explain(counted, pictures(), "grad-cam")
        assert isinstance(found, Attribution)
        assert found.passes == Count(1, 1)
    assert (counted.forwards, counted.backwards) == (3, 3)


def test_one_clean_pass_is_shared_by_all_methods_and_targets() -> None:
    counted = counting()
    methods = ["grad-cam", "cam", "gradient", "occlusion(window=8, stride=8)", "grad-cam(layer=network.conv1)"]
    found = explain(counted, pictures(), methods, target="top3")
    assert isinstance(found, list)
    assert len(found) == 15
    assert counted.forwards == 1 + 3 * 6
    assert counted.backwards == 3 * 3
    assert [one.passes for one in found[:5]] == [Count(1, 1), Count(1, 0), Count(1, 1), Count(7, 0), Count(1, 1)]
    alone = explain(counting(), pictures(), "grad-cam", target=found[0].target.index)
    assert isinstance(alone, Attribution)
    assert (found[0].map == alone.map).all()


@pytest.mark.parametrize("spec", SPECS)
def test_little_memory_gives_the_same_map_in_smaller_batches(spec: str) -> None:
    counted = counting()
    free = explain(counted, pictures(), spec)
    counted.forget()
    tight = explain(counted, pictures(), spec, memory=1)
    assert isinstance(free, Attribution)
    assert isinstance(tight, Attribution)
    assert set(counted.batches) == {1}
    assert abs(free.map - tight.map).max() <= 1e-4 * abs(free.map).max()
    assert free.passes == tight.passes


def test_a_budget_is_kept() -> None:
    counted = counting()
    pixels = pictures()
    with Passes(counted) as passes, passes.shared(pixels):
        large = passes.pictures_at_once(pixels, gradients=True)
    with Passes(counted, memory=100_000) as passes:
        small = passes.pictures_at_once(pixels, gradients=True)
        assert passes.pictures_at_once(pixels, gradients=False) >= small
    assert 1 <= small < large
    assert batch_size(None, pixels, gradients=False, memory=1) == 1


def test_progress_is_told_and_false_cancels() -> None:
    told: list[tuple[int, int]] = []
    counted = counting()
    explain(counted, pictures(), "occlusion(window=6, stride=5)", memory=1, progress=lambda *now: told.append(now))
    assert told == [(done, 15) for done in range(1, 16)]
    before = [module.training for module in counted.modules()]
    counted.forget()
    with pytest.raises(CancelledError, match="after 4 of 15"):
        explain(counted, pictures(), "occlusion(window=6, stride=5)", memory=1, progress=lambda done, _: done < 4)
    assert counted.forwards == 5
    assert [module.training for module in counted.modules()] == before


def test_scores_of_shared_pixels_are_not_asked_again_and_others_are() -> None:
    counted, pixels = counting(), pictures(2)
    with Passes(counted) as passes, passes.shared(pixels) as scores:
        assert passes.scores(pixels) is scores
        assert passes.count == Count(2, 0)
        other = passes.scores(pixels.clone())
        assert passes.count == Count(4, 0)
    assert torch.allclose(scores, other)
    with Passes(counted) as passes:
        passes.scores(pixels)
        assert passes.count == Count(2, 0)


def test_perturbed_pictures_are_version_by_version() -> None:
    network, pixels = seeded(Plain)().eval(), pictures(2)
    boxes = torch.tensor([[0, 0, 4, 4], [4, 8, 16, 24], [2, 2, 3, 3]])
    windows = Windows(boxes, torch.zeros_like(pixels))
    with Passes(network) as passes:
        found = passes.perturbed(pixels, windows)
    assert found.shape == (3, 2, 4)
    for version, (top, left, bottom, right) in enumerate(boxes.tolist()):
        for row in range(2):
            hidden = pixels[row : row + 1].clone()
            hidden[..., top:bottom, left:right] = 0
            assert torch.allclose(found[version, row], network(hidden)[0], atol=1e-5)


def test_mean_gradients_weigh_every_point() -> None:
    network, pixels = seeded(Plain)().eval(), pictures(2)
    path = Path(torch.zeros_like(pixels), torch.tensor([0.2, 0.9, 1.0]))
    weights, expected = torch.tensor([0.5, 2.0, -1.0]), torch.zeros_like(pixels)
    for alpha, weight in zip((0.2, 0.9, 1.0), weights, strict=True):
        leaf = (alpha * pixels).requires_grad_()
        total = network(leaf)[0, 1] + network(leaf)[1, 3]
        expected += weight * torch.autograd.grad(total, leaf)[0]
    for memory in (None, 1):
        with Passes(network, memory=memory) as passes:
            found = passes.mean_gradients(pixels, path, weights, Target.of([1, 3]))
        assert torch.allclose(found, expected, atol=1e-6)


def test_pictures_of_a_network_that_mixes_its_batch_run_alone() -> None:
    specimen = next(one for one in networks() if one.name == "batch statistics")
    counted, pixels = counting(specimen.build()), pictures(3)
    with Passes(counted) as passes:
        scores = passes.scores(pixels)
        with passes.shared(pixels, gradients=True, layers=[None]) as shared:
            assert torch.equal(shared, scores)
            gradients = passes.gradients(pixels, Target.of([0, 1, 2]))
            view = passes.layer(pixels, None, Target.of([0, 1, 2]))
    assert set(counted.batches) == {1}
    for row in range(3):
        with Passes(counted) as passes:
            one = pixels[row : row + 1]
            assert torch.allclose(passes.gradients(one, Target.of(row)), gradients[row : row + 1], atol=1e-7)
            assert torch.allclose(passes.layer(one, None, Target.of(row)).gradients, view.gradients[row : row + 1])


class Blocked(nn.Module):
    """A forward that autograd cannot follow."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network(x)
        return scores


@pytest.mark.parametrize("spec", ["gradient", "integrated-gradients(steps=2)", "smooth-grad(samples=2)"])
def test_a_gradient_that_cannot_be_taken_is_refused_and_is_no_zero(spec: str) -> None:
    with pytest.raises(NotSupportedError, match=r"no gradient reaches the pixels of 'Blocked'.*occlusion"):
        explain(Blocked(seeded(Plain)()), pictures(), spec)
    with pytest.raises(LayerError):
        explain(Blocked(seeded(Plain)()), pictures(), "grad-cam")
    with pytest.raises(LayerError, match="not on the way"):
        explain(Blocked(seeded(Plain)()), pictures(), "grad-cam(layer=network.conv2)")
    found = explain(Blocked(seeded(Plain)()), pictures(), "occlusion(window=8, stride=8)")
    assert isinstance(found, Attribution)
    assert found.map.any()


def test_targets_out_of_range_are_refused_by_name_also_where_a_method_is_called_directly() -> None:
    method, pixels = METHODS.make("gradient"), pictures(2)
    with Passes(seeded(Plain)()) as passes:
        for wrong in (4, -1):
            with pytest.raises(TargetError, match=f"class index {wrong} is out of range.*0 to 3"):
                method(passes, pixels, Target.of([0, wrong]))
        with pytest.raises(TargetError, match="1 targets for 2 pictures"):
            method(passes, pixels, Target.of(0))


def test_pixels_are_not_written_into_and_a_failing_network_is_told_with_its_sizes() -> None:
    class Careless(Plain):
        def forward(self, x: torch.Tensor) -> Any:
            return super().forward(x.mul_(2))

    pixels, network = pictures(), seeded(Careless)()
    before = pixels.clone()
    for spec in ("gradient", "occlusion(window=8, stride=8)", "integrated-gradients(steps=2)", "grad-cam"):
        explain(network, pixels, spec)
    assert torch.equal(pixels, before)
    with pytest.raises(ModelError, match="Careless fails on pixels of 1×2×16×24"):
        explain(network, pixels[:, :2], "gradient")


def test_a_float64_network_and_half_precision_give_float32_maps() -> None:
    pixels = pictures()
    expected = explain(seeded(Plain)(), pixels, "gradient")
    double = explain(seeded(Plain)().double(), pixels, "gradient")
    assert isinstance(expected, Attribution)
    assert isinstance(double, Attribution)
    assert double.map.dtype == expected.map.dtype == "float32"
    assert abs(double.map - expected.map).max() <= 1e-5 * abs(expected.map).max()
    brief = explain(seeded(Plain)().bfloat16(), pixels, "gradient")
    assert isinstance(brief, Attribution)
    assert brief.map.dtype == "float32"
    ranks = [torch.from_numpy(one.map).flatten().argsort().argsort().double() for one in (brief, expected)]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.99


def test_fast_precision_is_near_and_leaves_the_network_as_it_was() -> None:
    network, pixels = seeded(Plain)(), pictures()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    exact, fast = explain(network, pixels, "grad-cam"), explain(network, pixels, "grad-cam", precision="fast")
    assert isinstance(exact, Attribution)
    assert isinstance(fast, Attribution)
    assert fast.origin.precision == "fast"
    assert 0 < abs(exact.map - fast.map).max() <= 0.1 * abs(exact.map).max()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_function_that_autograd_goes_through_has_gradients_when_it_is_declared() -> None:
    network = seeded(Plain)().eval()
    declared = wrap(network.__call__, gradients=True)
    one, other = explain(declared, pictures(), "gradient"), explain(network, pictures(), "gradient")
    assert isinstance(one, Attribution)
    assert isinstance(other, Attribution)
    assert (one.map == other.map).all()
    with pytest.raises(NotSupportedError, match="function without layers"):
        explain(declared, pictures(), "grad-cam")


def test_answers_of_a_long_question_are_not_kept_one_by_one() -> None:
    """Small answers between large batches keep the allocator from using their memory again: it would grow."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 5))
    runner = Passes(network, runtime="eager")._runner
    alive: list[weakref.ref[torch.Tensor]] = []

    def ask(rows: slice) -> torch.Tensor:
        assert sum(one() is not None for one in alive) <= 1
        answers = torch.arange(100.0)[rows, None].repeat(1, 5)
        alive.append(weakref.ref(answers))
        return answers

    found = runner.asked(100, torch.rand(1, 3, 8, 8), ask)
    assert len(alive) > 2
    assert torch.equal(found, torch.arange(100.0)[:, None].repeat(1, 5))
