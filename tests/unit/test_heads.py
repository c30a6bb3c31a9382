"""What scores mean is told from the network's last operation, or asked for where it cannot be told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from sightline.errors import ModelError
from sightline.models.heads import HEADS, check_head, gives_probabilities, probabilities, tell_head, two_sided
from sightline.models.outputs import scores_of

GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(5, 6, generator=GENERATOR)
WEIGHT = torch.randn(4, 6, generator=GENERATOR)


def logits(classes: int = 4) -> torch.Tensor:
    return F.linear(FEATURES, WEIGHT[:classes].clone().requires_grad_())


ENDS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "nothing": (lambda z: z, "softmax"),
    "softmax": (lambda z: z.softmax(1), "probabilities"),
    "functional softmax": (lambda z: F.softmax(z, dim=-1), "probabilities"),
    "softmax in half precision": (lambda z: z.bfloat16().softmax(1), "probabilities"),
    "softmax, views after it": (lambda z: z.softmax(1)[:, :, None, None].flatten(1).view(5, 4), "probabilities"),
    "softmax written out": (lambda z: z.exp() / z.exp().sum(1, keepdim=True), "probabilities"),
    "mean of two softmaxes": (lambda z: (z.softmax(1) + (2 * z).softmax(1)) / 2, "probabilities"),
    "sigmoid": (torch.sigmoid, "independent-probabilities"),
    "sigmoid, views after it": (
        lambda z: z.sigmoid()[:, :, None].squeeze(-1).T.T.contiguous(),
        "independent-probabilities",
    ),
    "sigmoid, clipped": (lambda z: z.sigmoid().clamp(1e-6, 1 - 1e-6), "independent-probabilities"),
    "sigmoid, rows that sum to one by chance": (lambda z: (0 * z[:, :2]).sigmoid(), "independent-probabilities"),
    "hard sigmoid": (F.hardsigmoid, "independent-probabilities"),
    "mean of sigmoids": (lambda z: torch.stack([z, z]).sigmoid().mean(0), "independent-probabilities"),
    "log-softmax": (lambda z: z.log_softmax(1), "softmax"),
    "logits, clipped": (lambda z: z.clamp(0, 1), "softmax"),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_head_is_told_from_the_last_operation(end: str) -> None:
    function, head = ENDS[end]
    assert tell_head(scores_of(function(logits()), 5), traced=True) == head


@pytest.mark.parametrize(
    ("function", "head"),
    [
        (lambda z: z, "binary"),
        (torch.sigmoid, "binary-probability"),
        (lambda z: z.sigmoid()[:, 0], "binary-probability"),
        (lambda z: z.squeeze(1), "binary"),
        (lambda z: z * 0 + 0.5, "binary"),
    ],
)
def test_one_output_is_a_logit_or_a_probability(function: Callable, head: str) -> None:
    assert tell_head(scores_of(function(logits(1)), 5), traced=True) == head


def test_log_probabilities_under_a_softmax_head_give_the_probabilities() -> None:
    z = logits()
    assert torch.allclose(probabilities(z.log_softmax(1), "softmax"), z.softmax(1), atol=1e-6)


def test_a_function_is_told_by_its_numbers() -> None:
    z = logits().detach()
    assert tell_head(z, traced=False) == "softmax"
    assert tell_head(z.softmax(1), traced=False) == "probabilities"
    assert tell_head(z[:, :1], traced=False) == "binary"


def test_one_number_of_a_function_that_may_be_either_has_to_be_declared() -> None:
    with pytest.raises(ModelError, match=r"declare head='binary' or head='binary-probability'"):
        tell_head(logits(1).detach().sigmoid(), traced=False)


def test_several_numbers_of_a_function_are_read_as_logits_unless_they_sum_to_one() -> None:
    assert tell_head(logits().detach().sigmoid(), traced=False) == "softmax"
    assert tell_head(logits().detach().softmax(1), traced=False) == "probabilities"


def test_one_output_becomes_two_classes() -> None:
    z = logits(1).detach()
    both = two_sided(z, "binary")
    assert torch.equal(both, torch.cat([-z, z], 1))
    assert torch.allclose(probabilities(both, "binary").sum(1), torch.ones(5))
    assert torch.allclose(probabilities(both, "binary")[:, 1:], z.sigmoid())
    p = z.sigmoid()
    assert torch.equal(two_sided(p, "binary-probability"), torch.cat([1 - p, p], 1))
    assert two_sided(z, "softmax") is z


def test_probabilities_of_every_head() -> None:
    z = logits().detach()
    assert torch.equal(probabilities(z, "softmax"), z.softmax(1))
    assert torch.equal(probabilities(z, "sigmoid"), z.sigmoid())
    for head in HEADS:
        if gives_probabilities(head):
            assert probabilities(z, head) is z


def test_an_unknown_head_gets_a_suggestion() -> None:
    assert check_head("sigmoid") == "sigmoid"
    with pytest.raises(ModelError, match="did you mean 'softmax'"):
        check_head("softmaxx")
