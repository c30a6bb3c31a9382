"""Each result says what its passes computed in: whatever precision was asked for, what was done."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.models.classifier import Classifier, wrap
from sightline.passes import rounded
from sightline.passes.passes import Passes
from sightline.testing.networks import Tokens, networks, seeded

PIXELS = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(3))
BACK = "float32, back in bfloat16"


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that multiplies bfloat16: elsewhere nothing is rounded on the way back."""
    monkeypatch.setattr(rounded, "_native", lambda _device: True)


def network() -> nn.Module:
    return next(one for one in networks() if one.name == "batch norm and dropout").build().eval()


def known(of: nn.Module) -> Classifier:
    """A network whose head is declared and whose best layer has been found, which takes a pass of its own."""
    classifier = wrap(of, head="softmax")
    sightline.explain(classifier, PIXELS, "grad-cam")
    return classifier


def explained(method: str, precision: str = "fast", of: nn.Module | None = None) -> sightline.Attribution:
    found = sightline.explain(known(of or network()), PIXELS, method, target=1, precision=precision)
    assert isinstance(found, sightline.Attribution)
    return found


@pytest.mark.parametrize(
    ("method", "numbers"),
    [
        ("guided-ig(steps=3)", "float32"),
        ("idgi(of=guided-ig(steps=3))", "float32"),
        ("smooth-grad(of=guided-ig(steps=2), samples=2)", "float32"),
        ("gradient", BACK),
        ("idgi(of=integrated-gradients(steps=3))", BACK),
        ("guided-backpropagation", BACK),
        ("grad-cam", "bfloat16"),
        ("lrp", "bfloat16"),
        ("occlusion(window=8, stride=8)", "bfloat16"),
        ("rise(cells=3, samples=4)", "bfloat16"),
        ("ablation-cam", "bfloat16; float32"),
    ],
)
def test_fast_says_what_was_done(method: str, numbers: str) -> None:
    found = explained(method)
    assert (found.origin.precision, found.origin.numbers) == ("fast", numbers)
    assert found.record()["computed_in"] == numbers
    assert explained(method, "float32").origin.numbers == "float32"


@pytest.mark.parametrize(
    ("method", "transformer"),
    [
        ("guided-ig(steps=4)", False),
        ("idgi(of=guided-ig(steps=4))", False),
        ("attn-lrp", True),
    ],
)
def test_who_says_float32_gives_the_map_and_the_numbers_of_float32(method: str, transformer: bool) -> None:
    of = seeded(lambda: Tokens(1))() if transformer else network()
    fast, exact = explained(method, of=of), explained(method, "float32", of=of)
    assert fast.origin.numbers == "float32"
    assert np.abs(fast.map - exact.map).max() <= 1e-5 * np.abs(exact.map).max()
    assert fast.numbers.keys() == exact.numbers.keys()
    for name, value in exact.numbers.items():
        assert fast.numbers[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_who_does_not_say_it_is_rounded() -> None:
    fast, exact = explained("gradient"), explained("gradient", "float32")
    assert np.abs(fast.map - exact.map).max() > 1e-4 * np.abs(exact.map).max()


def test_what_others_computed_in_is_not_said_of_a_method() -> None:
    methods = ["grad-cam", "guided-ig(steps=2)", "occlusion(window=8, stride=8)"]
    found = sightline.explain(known(network()), PIXELS, methods, target=1, precision="fast")
    assert [one.origin.numbers for one in found] == ["bfloat16", "float32", "bfloat16"]


def test_a_shared_pass_counts_for_who_uses_it() -> None:
    found = sightline.explain(known(network()), PIXELS, ["gradient", "grad-cam"], target=1, precision="fast")
    assert [one.origin.numbers for one in found] == [BACK, BACK]
    first = sightline.explain(network(), PIXELS, "grad-cam", precision="fast")  # looks for its layer from the pixels on
    assert isinstance(first, sightline.Attribution)
    assert first.origin.numbers == BACK


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_networks_own_numbers_are_told(dtype: torch.dtype) -> None:
    own = str(dtype).removeprefix("torch.")
    assert explained("grad-cam", "float32", network().to(dtype)).origin.numbers == own
    if dtype == torch.float64:  # which autocast leaves as it is
        assert explained("grad-cam", of=network().to(dtype)).origin.numbers == own


def test_machines_without_bfloat16_say_that_nothing_was_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounded, "_native", lambda _device: False)
    assert explained("gradient").origin.numbers == "float32"


def test_the_end_of_a_guided_way_is_counted_and_foreseen() -> None:
    from sightline.attribution.table import METHODS
    from sightline.models.targets import Target

    method, one = METHODS.make("guided-ig(steps=3)"), PIXELS[None]
    for precision in ("float32", "fast"):
        passes = Passes(network(), precision=precision)
        with passes.shared(one):
            before = passes.count
            method(passes, one, 1)
            spent = passes.count - before
        foreseen = method.foresee(passes, one, Target.of(1))
        assert (spent.forward, spent.backward) == (foreseen.forward, foreseen.backward)
        assert foreseen.clean == (precision == "float32")
