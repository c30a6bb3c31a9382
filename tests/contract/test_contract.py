"""Every method on every small network: each cell is right or refused with a reason, none is wrong."""

from __future__ import annotations

import os

import pytest
import torch

from sightline.attribution.table import METHODS
from sightline.models.classifier import wrap
from sightline.passes.runtimes.kept import Kept
from sightline.testing import ContractError, Specimen, check_classifier, check_method, networks
from sightline.testing.case import Case

CHEAP = {
    "occlusion": ("occlusion(window=6, stride=5)", "occlusion(window=(8, 6), stride=6, fill=blur, score=logit)"),
    "feature-ablation": (
        "feature-ablation(regions=grid(rows=4, columns=4))",
        "feature-ablation(regions=slic(segments=12), score=probability)",
    ),
    "shapley-sampling": ("shapley-sampling(regions=grid(rows=4, columns=4), samples=2)",),
    "kernel-shap": ("kernel-shap(regions=grid(rows=4, columns=4), samples=34)",),
    "partition-shap": ("partition-shap(evaluations=60)",),
    "lime": ("lime(regions=grid(rows=6, columns=6), samples=90)",),
    "rise": ("rise(cells=4, samples=60, normalise=covered)",),
    "sobol": ("sobol(regions=grid(rows=4, columns=4), samples=4)",),
    "hsic": ("hsic(regions=grid(rows=4, columns=4), samples=50)",),
    "meaningful-perturbation": ("meaningful-perturbation(iterations=4, size=8, soft=1)",),
    "extremal-perturbation": ("extremal-perturbation(iterations=6, rate=1, step=3, sigma=3, constraint=30)",),
    "i-gos": ("i-gos(iterations=2, points=2, size=8)",),
    "igos-plus": ("igos-plus(iterations=2, points=2, size=8)",),
    "igos-plus-plus": ("igos-plus-plus(iterations=2, points=2, size=8)",),
    "gradient": ("gradient", "gradient(channels=largest)"),
    "integrated-gradients": ("integrated-gradients(steps=4)", "integrated-gradients(rule=adaptive, steps=24)"),
    # Black and strongly blurred pictures are almost the same everywhere: there rounding alone chooses what max-pooling
    # picks and what batch statistics blow up, so that ways which start at one are no function of the picture.
    "expected-gradients": ("expected-gradients(samples=4)", "expected-gradients(samples=3, noise=0.1)"),
    "blur-ig": ("blur-ig(steps=5, largest=4)",),
    "guided-ig": ("guided-ig(steps=4, baseline=uniform)",),
    "idgi": (
        "idgi(of=integrated-gradients(steps=4, baseline=uniform))",
        "idgi(of=guided-ig(steps=3, baseline=uniform))",
    ),
    "smooth-grad-squared": ("smooth-grad-squared(samples=3)",),
    "var-grad": ("var-grad(samples=3)", "var-grad(of=input-times-gradient, samples=2)"),
    "xrai": ("xrai(steps=2)",),
    "lrp": (
        "lrp",
        "lrp(composite=epsilon-gamma-box(bias=ignored))",
        "lrp(composite=table(first=w-square, convolution=alpha-beta, dense=z-plus, last=epsilon))",
    ),
    "smooth-grad": ("smooth-grad(samples=3)", "smooth-grad(of=grad-cam, samples=2)"),
    "score-cam": ("score-cam", "score-cam(score=probability, weight=change, order=normalise-first, channels=3)"),
    "ss-cam": ("ss-cam(samples=2, sigma=0.3)", "ss-cam(samples=2, sigma=0.1, shaken=picture, channels=3)"),
    "is-cam": ("is-cam(steps=2)",),
    "group-cam": ("group-cam(groups=3, fill=black)",),
    "poly-cam": ("poly-cam(channels=4)", "poly-cam(channels=3, weight=plus, stretch=largest)"),
    "opti-cam": ("opti-cam(steps=3)",),
    "smooth-grad-cam-plus-plus": ("smooth-grad-cam-plus-plus(samples=3)",),
    "deep-feature-factorisation": ("deep-feature-factorisation(concepts=3)",),
    "craft": ("craft(concepts=3, patch=8, samples=4)",),
    "zeiler-fergus": ("zeiler-fergus(window=8, stride=8)",),
}
"""Fields that make a method cheap; a method that is not named is run as it is."""

SPECS = [spec for name in METHODS for spec in CHEAP.get(name, (name,))]
EVERYWHERE = ("occlusion", "gradient", "integrated-gradients", "smooth-grad", "cam", "grad-cam")
WHOLE = os.environ.get("SIGHTLINE_CONTRACT") == "whole"
ROUNDS = 4
"""All methods on all networks take longer than all other tests (`make contract`). In the daily suite one method of each
kind meets every network, and every other method a quarter of them, another quarter than the methods beside it."""


def pairs() -> list[tuple[str, Specimen]]:
    """The methods and the networks on which they are held to the contract in this run."""
    return [
        (spec, specimen)
        for row, spec in enumerate(SPECS)
        for column, specimen in enumerate(networks())
        if WHOLE or METHODS.make(spec).name in EVERYWHERE or (row + column) % ROUNDS == 0
    ]


NOT_RELU = {
    "forward only", "depthwise silu", "class token", "register tokens", "mean of tokens", "channels last",
    "softmax head",
}  # fmt: skip
TOKENS = {"class token", "register tokens", "mean of tokens"}
NOT_TOKENS = {specimen.name for specimen in networks()} - TOKENS
NOT_RELEVANCE = {"forward only", "class token", "register tokens", "sigmoid head", "softmax head"}
REFUSED = {
    "attention-rollout": NOT_TOKENS,
    "attention-relevance": NOT_TOKENS,
    "legrad": NOT_TOKENS,
    "meaningful-perturbation": {"forward only"},
    "extremal-perturbation": {"forward only"},
    "i-gos": {"forward only"},
    "igos-plus": {"forward only"},
    "igos-plus-plus": {"forward only"},
    "gradient": {"forward only"},
    "grad-cam": {"forward only"},
    "occlusion": set(),
    "feature-ablation": set(),
    "shapley-sampling": set(),
    "kernel-shap": set(),
    "partition-shap": set(),
    "lime": set(),
    "rise": set(),
    "sobol": set(),
    "hsic": set(),
    "integrated-gradients": {"forward only"},
    "smooth-grad": {"forward only"},
    "input-times-gradient": {"forward only"},
    "expected-gradients": {"forward only"},
    "blur-ig": {"forward only"},
    "guided-ig": {"forward only"},
    "idgi": {"forward only"},
    "smooth-grad-squared": {"forward only"},
    "var-grad": {"forward only"},
    "full-grad": {"forward only"},
    "xrai": {"forward only"},
    "deep-feature-factorisation": {"forward only"},
    "craft": {"forward only"},
    "guided-backpropagation": NOT_RELU | {"sigmoid head"},
    "deconvnet": NOT_RELU | {"sigmoid head", "batch statistics"},
    "deep-lift": NOT_RELU - {"depthwise silu"} | {"batch statistics"},
    "guided-grad-cam": NOT_RELU | {"sigmoid head"},
    "excitation-backprop": NOT_RELEVANCE,
    "contrastive-excitation-backprop": NOT_RELEVANCE,
    "relevance-cam": NOT_RELEVANCE,
    "poly-cam": {"forward only"},
    "seg-eigen-cam": {"forward only"},
    "attn-lrp": {"forward only", "sigmoid head", "softmax head", "batch statistics"},
    "lrp": NOT_RELU - {"depthwise silu"} | {"sigmoid head", "batch statistics"},
    "cam": {
        "forward only", "shared relu", "class token", "register tokens", "channels last",
        "sigmoid head", "softmax head",
    },
}  # fmt: skip
"""Networks that a method is not defined for; a refusal of any other is a step back."""


@pytest.mark.parametrize(("spec", "specimen"), pairs(), ids=lambda part: getattr(part, "name", part))
def test_method_keeps_the_contract(spec: str, specimen: Specimen) -> None:
    report = check_method(spec, [specimen], own_networks=False, calls=10)
    expected = REFUSED.get(METHODS.make(spec).name)
    needs_logits = "logit" in spec and specimen.name in ("sigmoid head", "softmax head")
    if expected is not None and not needs_logits:
        assert (specimen.name in report.refused) == (specimen.name in expected), report


@pytest.mark.parametrize("spec", SPECS)
def test_method_finds_known_evidence(spec: str) -> None:
    report = check_method(spec, (), calls=1)
    assert len(report.cells) == 9
    refused = {cell.statement for cell in report.cells if cell.verdict == "refused"}
    if METHODS.make(spec).traits.family == "attention":
        # These networks have none; tests/oracles/test_attention.py has one whose attention lies where the evidence is.
        assert "M9-class-sensitive" in refused, report
        return
    # Its network takes a root, which rules for ReLUs are not defined for.
    assert refused <= {"N5-gradients"}, report


@pytest.mark.parametrize("spec", [spec for spec in SPECS if WHOLE or METHODS.make(spec).name in EVERYWHERE])
def test_two_hundred_calls_keep_no_tensor_alive(spec: str) -> None:
    from sightline.testing.state_checks import s2_memory

    method = METHODS.make(spec)
    simplest = "class token" if method.traits.family == "attention" else "plain"
    specimen = next(specimen for specimen in networks() if specimen.name == simplest)
    s2_memory(Case(method, specimen), calls=200)


@pytest.mark.parametrize("size", [(224, 320), (320, 224)])
def test_patch_is_found_in_a_large_picture(size: tuple[int, int]) -> None:
    from sightline.testing.evidence_checks import m7_places

    for spec in ("occlusion(window=48, stride=32)", "gradient", "integrated-gradients(steps=4)", "cam", "grad-cam"):
        m7_places(METHODS.make(spec), (size,))


def test_the_clock_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with much to do a program was made in the middle of a check: it answers in other last digits."""
    pytest.importorskip("openvino")
    monkeypatch.setattr(Kept, "pays", lambda kept, _network, _pace: kept.eager > 200)
    monkeypatch.setattr("sightline.passes.runtimes.kept._slower", lambda *_given: None)
    case = Case(METHODS.make(CHEAP["lime"][0]), networks()[1])

    def apart(**options: str) -> float:
        network, pixels = case.specimen.build(), case.specimen.pixels()
        expected, *found = (case.maps(network, pixels, **options) for _ in range(4))
        return max(float(abs(one - expected).max()) for one in found)

    assert apart() == 0
    assert apart(runtime="auto") > 0


def test_report_is_a_table_with_the_reasons_of_refusals() -> None:
    report = check_method("cam", networks()[-1:], own_networks=False)
    text = str(report)
    assert "forward only" in text.splitlines()[2]
    assert "refused, forward only: cam needs" in text
    assert not report.wrong


def test_networks_are_the_same_every_time_and_leave_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    for specimen in networks():
        one, other = specimen.build().state_dict(), specimen.build().state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(before, torch.get_rng_state())


def test_classifier_contract_passes_every_network_and_catches_a_careless_one() -> None:
    for specimen in networks():
        check_classifier(specimen.wrapped(specimen.build()), specimen.pixels(3))
    pixels = networks()[0].pixels(3)
    flat = wrap(lambda x: x.flatten(1)[:, :4] - x.mean(), head="softmax")
    with pytest.raises(ContractError, match="alone"):
        check_classifier(flat, pixels)
    with pytest.raises(ContractError, match="labels on"):
        check_classifier(wrap(lambda x: x.flatten(1)[:, :4], head="softmax", labels=["a", "b"]), pixels)
    with pytest.raises(ContractError, match="repeats"):
        check_classifier(wrap(lambda x: x.flatten(1)[:, :4] + torch.rand(1), head="softmax"), pixels)
