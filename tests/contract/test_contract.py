"""Every method on every small network: each cell is right or refused with a reason, none is wrong."""

from __future__ import annotations

import pytest
import torch

from sightline.attribution.table import METHODS
from sightline.models.classifier import wrap
from sightline.testing import ContractError, Specimen, check_classifier, check_method, networks

CHEAP = {
    "occlusion": ("occlusion(window=6, stride=5)", "occlusion(window=(8, 6), stride=6, fill=blur, score=logit)"),
    "gradient": ("gradient", "gradient(channels=largest)"),
    "integrated-gradients": ("integrated-gradients(steps=4)",),
    "smooth-grad": ("smooth-grad(samples=3)", "smooth-grad(of=grad-cam, samples=2)"),
}
"""Fields that make a method cheap; a method that is not named is run as it is."""

SPECS = [spec for name in METHODS for spec in CHEAP.get(name, (name,))]
REFUSED = {
    "gradient": {"forward only"},
    "grad-cam": {"forward only"},
    "occlusion": set(),
    "integrated-gradients": {"forward only"},
    "smooth-grad": {"forward only"},
    "cam": {
        "forward only", "shared relu", "class token", "register tokens", "channels last",
        "sigmoid head", "softmax head",
    },
}  # fmt: skip
"""Networks that a method is not defined for; a refusal of any other is a step back."""


@pytest.mark.parametrize("specimen", networks(), ids=lambda specimen: specimen.name)
@pytest.mark.parametrize("spec", SPECS)
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
    assert not report.refused


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "fill=blur" not in spec])
def test_two_hundred_calls_keep_no_tensor_alive(spec: str) -> None:
    from sightline.testing.case import Case
    from sightline.testing.state_checks import s2_memory

    s2_memory(Case(METHODS.make(spec), networks()[0]), calls=200)


@pytest.mark.parametrize("size", [(224, 320), (320, 224)])
def test_patch_is_found_in_a_large_picture(size: tuple[int, int]) -> None:
    from sightline.testing.evidence_checks import m7_places

    for spec in ("occlusion(window=48, stride=32)", "gradient", "integrated-gradients(steps=4)", "cam", "grad-cam"):
        m7_places(METHODS.make(spec), (size,))


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
