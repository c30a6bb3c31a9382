"""Laws of attention methods, as generated properties over transformers, sizes and targets."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.attribution.table import METHODS
from sightline.testing.architectures import Tokens
from sightline.testing.networks import seeded
from small import close, picture

SEEDS = st.integers(0, 1000)


def network_of(prefix: int, seed: int) -> nn.Module:
    return seeded(lambda: Tokens(prefix), seed)().eval()


def ours(network: nn.Module, x: torch.Tensor, method: str, target: int = 1) -> torch.Tensor:
    return METHODS.make(method)(network, x, target).values


@given(seed=SEEDS, fuse=st.sampled_from(["mean", "max", "min"]), discard=st.sampled_from([0, 0.3, 0.95]))
@settings(max_examples=15, deadline=None)
def test_rollout_shares_out_one(seed: int, fuse: str, discard: float) -> None:
    """Rows sum to 1: over all cells where all tokens are cells, to less where prefix tokens take a share."""
    x = picture(16, 20, seed=seed)
    whole = ours(network_of(0, seed), x, f"attention-rollout(fuse={fuse}, discard={discard})")
    assert abs(float(whole.sum()) - 1) < 1e-5
    part = ours(network_of(5, seed), x, f"attention-rollout(fuse={fuse}, discard={discard})")
    assert float(part.min()) >= 0
    assert float(part.sum()) < 1


@given(seed=SEEDS, target=st.integers(0, 3), factor=st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_legrad_is_linear_in_the_score_and_rollout_does_not_ask(seed: int, target: int, factor: float) -> None:
    network, other, x = network_of(1, seed), network_of(1, seed), picture(16, 20, seed=seed)
    with torch.no_grad():
        other.head.weight.mul_(factor)
    assert close(ours(other, x, "legrad", target), factor * ours(network, x, "legrad", target), 1e-4)
    assert torch.equal(ours(network, x, "attention-rollout", target), ours(other, x, "attention-rollout", 0))


@given(seed=SEEDS, target=st.integers(0, 3), prefix=st.sampled_from([0, 1, 2]))
@settings(max_examples=15, deadline=None)
def test_relevance_of_small_scores_is_linear_in_them(seed: int, target: int, prefix: int) -> None:
    """R − I = Σ Ā_l + products of several Ā, and each Ā is linear in the score."""
    network, x = network_of(prefix, seed), picture(16, 20, seed=seed)
    with torch.no_grad():
        network.head.weight.mul_(1e-4)
    found = ours(network, x, "chefer", target)
    assert float(found.min()) >= 0
    doubled = network_of(prefix, seed)
    with torch.no_grad():
        doubled.head.weight.mul_(2e-4)
    assert close(ours(doubled, x, "chefer", target), 2 * found, 1e-2)


@given(seed=SEEDS, prefix=st.sampled_from([0, 1, 5]))
@settings(max_examples=10, deadline=None)
def test_a_network_that_attends_to_all_alike_shows_all_alike(seed: int, prefix: int) -> None:
    """Without queries attention is uniform: rollout is the same at every cell."""
    network, x = network_of(prefix, seed), picture(16, 20, seed=seed)
    with torch.no_grad():
        for block in network.blocks:
            block.attention.qkv.weight[:16] = 0
            block.attention.qkv.bias[:16] = 0
    found = ours(network, x, "attention-rollout")
    assert float(found.max() - found.min()) < 1e-6
    other = network_of(prefix, seed)
    assert float(ours(other, x, "attention-rollout").std()) > 1e-5  # and is not where it does ask


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_moved_tokens_move_the_map(seed: int) -> None:
    """Attention does not know where its tokens lie: a mirrored picture has the mirrored map."""
    network = network_of(1, seed)
    x = picture(16, 20, seed=seed)
    mirrored = x.unflatten(3, (5, 4)).flip(3).flatten(3)  # columns of cells change places, and keep their pixels
    for method in ("attention-rollout", "chefer", "legrad", "legrad(pool=own)"):
        assert close(ours(network, mirrored, method), ours(network, x, method).flip(3), 1e-4), method
