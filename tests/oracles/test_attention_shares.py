"""Chefer's form of 2021 with relevance (`form=lrp`) against the authors' relprop, written out step by step in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.table import METHODS
from sightline.errors import NotSupportedError
from sightline.models.relevance.attention_shares import AttentionShares, weights_between
from sightline.models.relevance.propagation import propagating
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.testing.architectures import Tokens
from sightline.testing.networks import seeded
from small import close, picture

SIZE, GRID = (16, 24), (4, 6)


def over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The authors' safe_divide."""
    apart = np.where(below >= 0, below + 1e-9, below - 1e-9)
    return above / apart * (below != 0)


def linear_back(x: np.ndarray, layer: nn.Linear, relevance: np.ndarray) -> np.ndarray:
    """Positive contributions alone, without the bias: `n i` from `n o`."""
    weight = layer.weight.detach().double().numpy()
    parts = np.maximum(x[:, None, :] * weight[None], 0)
    return (parts * over(relevance, parts.sum(2))[:, :, None]).sum(1)


def sum_back(a: np.ndarray, b: np.ndarray, relevance: np.ndarray, *, scaled: bool) -> tuple[np.ndarray, np.ndarray]:
    share = over(relevance, a + b)
    of_a, of_b = a * share, b * share
    if not scaled:
        return of_a, of_b
    sizes = abs(of_a.sum()) + abs(of_b.sum())
    all_of_it = relevance.sum()
    return (
        of_a * abs(of_a.sum()) / sizes * all_of_it / of_a.sum(),
        of_b * abs(of_b.sum()) / sizes * all_of_it / of_b.sum(),
    )


class ByHand:
    """A `Tokens` network whose relevance is taken back block by block; `shares`: of the attentions, last to first."""

    def __init__(self, network: nn.Module, x: torch.Tensor, target: int, *, scaled: bool = True) -> None:
        self.network, self.scaled = network, scaled
        self.shares, self.kept = list[np.ndarray](), list[dict[str, torch.Tensor]]()
        tokens = network.patch_embed(x).flatten(2).transpose(1, 2)
        stream = tokens[0] if network.prefix is None else torch.cat([network.prefix, tokens], 1)[0]
        for block in network.blocks:
            stream = self.forward(block, stream)
        normed = network.norm(stream)
        self.score = network.head(normed.mean(0) if network.prefix is None else normed[0])
        relevance = self.end_back(normed.detach().numpy(), target)
        for block, kept in zip(reversed(list(network.blocks)), reversed(self.kept), strict=True):
            relevance = self.back(block, {name: each.detach().numpy() for name, each in kept.items()}, relevance)

    def forward(self, block: nn.Module, stream: torch.Tensor) -> torch.Tensor:
        layer, n = block.attention, len(stream)
        normed = block.norm1(stream)
        q, k, v = layer.qkv(normed).reshape(n, 3, layer.heads, -1).permute(1, 2, 0, 3)
        weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        mixed = (weights @ v).transpose(0, 1).reshape(n, -1)
        attended = layer.proj(mixed)
        middle = stream + attended
        normed2 = block.norm2(middle)
        hidden = block.mlp[0](normed2)
        active = block.mlp[1](hidden)
        out = block.mlp[2](active)
        self.kept.append(
            {"stream": stream, "normed": normed, "q": q, "k": k, "v": v, "weights": weights, "mixed": mixed}
            | {"attended": attended, "middle": middle, "normed2": normed2, "active": active, "out": out}
        )
        return middle + out

    def end_back(self, normed: np.ndarray, target: int) -> np.ndarray:
        one = np.zeros((1, self.network.head.out_features))
        one[0, target] = 1
        if self.network.prefix is not None:
            found = np.zeros_like(normed)
            found[0] = linear_back(normed[:1], self.network.head, one)[0]
            return found
        mean = normed.mean(0, keepdims=True)
        return normed / len(normed) * over(linear_back(mean, self.network.head, one), mean)

    def back(self, block: nn.Module, kept: dict[str, np.ndarray], relevance: np.ndarray) -> np.ndarray:
        skip, through = sum_back(kept["middle"], kept["out"], relevance, scaled=self.scaled)
        through = linear_back(kept["active"], block.mlp[2], through)
        relevance = skip + linear_back(kept["normed2"], block.mlp[0], through)
        skip, through = sum_back(kept["stream"], kept["attended"], relevance, scaled=self.scaled)
        through = linear_back(kept["mixed"], block.attention.proj, through)
        q, k, v, weights = (kept[name] for name in ("q", "k", "v", "weights"))
        heads, n, _ = q.shape
        share = over(through.reshape(n, heads, -1).transpose(1, 0, 2), weights @ v)
        of_weights, of_v = weights * (share @ v.transpose(0, 2, 1)) / 2, v * (weights.transpose(0, 2, 1) @ share) / 2
        self.shares.append(of_weights)
        share = over(of_weights, q @ k.transpose(0, 2, 1))
        of_q, of_k = q * (share @ k) / 2, k * (share.transpose(0, 2, 1) @ q) / 2
        of_all = np.stack([of_q, of_k, of_v]).transpose(2, 0, 1, 3).reshape(n, -1)
        return skip + linear_back(kept["normed"], block.attention.qkv, of_all)

    def map(self, target: int, prefix: int) -> torch.Tensor:
        matrix = np.eye(self.kept[0]["weights"].shape[-1])
        for kept, shares in zip(self.kept, reversed(self.shares), strict=True):
            (slope,) = torch.autograd.grad(self.score[target], kept["weights"], retain_graph=True)
            matrix = matrix + np.maximum(slope.numpy() * shares, 0).mean(0) @ matrix
        matrix = matrix - np.eye(len(matrix))
        row = matrix[0] if prefix else matrix.mean(0)
        return torch.from_numpy(row[prefix:].reshape(GRID)).float()[None]


def network_of(prefix: int, seed: int = 0) -> nn.Module:
    return seeded(lambda: Tokens(prefix), seed)().eval().double()


def ours(network: nn.Module, x: torch.Tensor, target: int | Target, method: str = "chefer(form=lrp)") -> torch.Tensor:
    return METHODS.make(method)(network, x, target).values[:, 0]


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("target", [0, 3])
def test_relevance_of_attention_times_gradient(prefix: int, target: int) -> None:
    network, x = network_of(prefix), picture(*SIZE).double()
    found = ours(network, x, target)
    assert close(found, ByHand(network, x, target).map(target, prefix), 1e-3)
    assert not close(found, ByHand(network, x, target, scaled=False).map(target, prefix), 1e-2)
    assert not close(found, ours(network, x, target, "chefer"), 1e-2)


def test_every_attention_gets_its_own_relevance_picture_by_picture() -> None:
    network, x = network_of(1), picture(*SIZE, 2).double()
    both = Passes(network).attention(x, Target.of([1, 2]), "relevance", lambda found: found)[0]
    for row, target in enumerate((1, 2)):
        hand = ByHand(network, x[row : row + 1], target)
        for mine, theirs in zip(both.relevance, reversed(hand.shares), strict=True):
            assert close(mine[row], torch.from_numpy(theirs).float(), 1e-3)


def test_against_another_class_begins_with_minus_one() -> None:
    network, x = network_of(1), picture(*SIZE).double()
    contrast = ours(network, x, Target.of(2, 1, against=3))
    assert contrast.min() >= 0
    assert not close(contrast, ours(network, x, 2), 1e-2)


@pytest.mark.parametrize(
    ("words", "network"),
    [
        ("no attention", nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
        ("sigmoid", nn.Sequential(Tokens(1), nn.Sigmoid())),
    ],
)
def test_what_it_is_not_defined_for_is_refused_by_name(words: str, network: nn.Module) -> None:
    with pytest.raises(NotSupportedError, match=words):
        ours(network.eval(), picture(*SIZE), 1)


def test_where_a_sum_cancels_out_to_the_last_bit_nobody_gets_anything() -> None:
    x = torch.tensor([[1.5, 2.0, -1.5, 1.0]]).requires_grad_()
    with propagating(AttentionShares(), None):
        one, other = (x * 1).chunk(2, 1)
        answer = one + other
    (found,) = torch.autograd.grad(answer, x, torch.tensor([[1.0, 3.0]]))
    assert close(found, torch.tensor([[0.0, 8 / 3, 0.0, 4 / 3]]), 1e-6)


def test_sums_hand_on_all_that_they_get_and_no_more() -> None:
    a, b = (torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed)).double() for seed in (0, 1))
    x, came = torch.cat([a, b], 2).requires_grad_(), torch.ones(2, 3, 4, dtype=torch.float64)
    with propagating(AttentionShares(), None):
        one, other = (x * 1).chunk(2, 2)
        answer = one + other
    (found,) = torch.autograd.grad(answer, x, came)
    assert close(found.sum((1, 2)), came.sum((1, 2)), 1e-6)
    assert weights_between(functional.relu(answer), x) == []
