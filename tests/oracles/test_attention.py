"""Attention methods against slow, plain re-derivations: a transformer written out by hand, matrices and all."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.base import Maps
from sightline.attribution.table import METHODS
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.testing.architectures import Tokens
from sightline.testing.networks import seeded
from small import close, picture

SIZE = (16, 24)
GRID = (4, 6)
PREFIXES = pytest.mark.parametrize("prefix", [0, 1, 5])


class ByHand:
    """A `Tokens` network layer by layer, with its attentions `h n n` and the tokens after each block `n K`."""

    def __init__(self, network: nn.Module, x: torch.Tensor) -> None:
        self.network, self.attentions, self.streams = network, list[torch.Tensor](), list[torch.Tensor]()
        tokens = network.patch_embed(x).flatten(2).transpose(1, 2)
        if network.prefix is not None:
            tokens = torch.cat([network.prefix, tokens], dim=1)
        stream = tokens[0]
        for block in network.blocks:
            stream = self.block(block, stream)
        self.score = self.end(stream)

    def block(self, block: nn.Module, stream: torch.Tensor) -> torch.Tensor:
        layer = block.attention
        normed = block.norm1(stream)
        width, heads, each = stream.shape[1], layer.heads, stream.shape[1] // layer.heads
        qkv = layer.qkv(normed)
        weights = []
        for head in range(heads):
            q, k = (qkv[:, part * width + head * each : part * width + (head + 1) * each] for part in (0, 1))
            weights.append((q @ k.T / math.sqrt(each)).softmax(1))
        attention = torch.stack(weights)
        self.attentions.append(attention)
        values = [qkv[:, 2 * width + head * each : 2 * width + (head + 1) * each] for head in range(heads)]
        mixed = torch.cat([attention[head] @ values[head] for head in range(heads)], dim=1)
        stream = stream + layer.proj(mixed)
        stream = stream + block.mlp(block.norm2(stream))
        self.streams.append(stream)
        return stream

    def end(self, stream: torch.Tensor) -> torch.Tensor:
        """The scores that the end of the network makes of tokens `n K`."""
        normed = self.network.norm(stream)
        return self.network.head(normed.mean(0) if self.network.prefix is None else normed[0])

    def gradient(self, of: torch.Tensor, layer: int) -> np.ndarray:
        (found,) = torch.autograd.grad(of, self.attentions[layer], retain_graph=True)
        return found.double().numpy()

    def weights(self, layer: int) -> np.ndarray:
        return self.attentions[layer].detach().double().numpy()


def network_of(prefix: int, seed: int = 0) -> nn.Module:
    return seeded(lambda: Tokens(prefix), seed)().eval()


def ours(network: nn.Module, x: torch.Tensor, method: str, target: int = 1) -> torch.Tensor:
    return METHODS.make(method)(network, x, target).values[:, 0]


def on_grid(row: np.ndarray, prefix: int) -> torch.Tensor:
    return torch.from_numpy(row[prefix:].reshape(GRID)).float()[None]


def read(matrix: np.ndarray, prefix: int) -> np.ndarray:
    """The class token's row, or the mean of all rows of a network that averages its tokens."""
    return matrix[0] if prefix else matrix.mean(0)


def rollout(hand: ByHand, fuse: Callable[[np.ndarray], np.ndarray], discard: float) -> np.ndarray:
    product = np.eye(hand.attentions[0].shape[-1])
    for layer in range(len(hand.attentions)):
        joined = fuse(hand.weights(layer))
        order = np.argsort(joined.reshape(-1), kind="stable")[: int(joined.size * discard)]
        for place in order:
            if place != 0:
                joined[place // len(joined), place % len(joined)] = 0
        mixed = 0.5 * joined + 0.5 * np.eye(len(joined))
        product = np.stack([row / row.sum() for row in mixed]) @ product
    return product


@PREFIXES
@pytest.mark.parametrize(
    ("method", "fuse", "discard"),
    [
        ("attention-rollout", lambda a: a.mean(0), 0.0),
        ("attention-rollout(fuse=max, discard=0.9)", lambda a: a.max(0), 0.9),
        ("attention-rollout(fuse=min, discard=0.5)", lambda a: a.min(0), 0.5),
    ],
)
def test_rollout(prefix: int, method: str, fuse: Callable[[np.ndarray], np.ndarray], discard: float) -> None:
    network, x = network_of(prefix), picture(*SIZE)
    expected = read(rollout(ByHand(network, x), fuse, discard), prefix)
    assert close(ours(network, x, method), on_grid(expected, prefix))
    assert np.isclose(expected.sum(), 1)


def relevance(hand: ByHand, target: int, *, positive: bool = True) -> np.ndarray:
    """The full matrix R, first layer to last, as the authors' code builds it."""
    matrix = np.eye(hand.attentions[0].shape[-1])
    for layer in range(len(hand.attentions)):
        gained = hand.gradient(hand.score[target], layer) * hand.weights(layer)
        matrix = matrix + (np.maximum(gained, 0) if positive else gained).mean(0) @ matrix
    return matrix - np.eye(len(matrix))


@PREFIXES
@pytest.mark.parametrize("target", [0, 3])
def test_relevance(prefix: int, target: int) -> None:
    network, x = network_of(prefix), picture(*SIZE)
    hand = ByHand(network, x)
    found = ours(network, x, "attention-relevance", target)
    assert close(found, on_grid(read(relevance(hand, target), prefix), prefix))
    careless = on_grid(read(relevance(hand, target, positive=False), prefix), prefix)
    assert not close(found, careless, 1e-2)


def legrad(hand: ByHand, target: int, *, mean: bool, last: int) -> np.ndarray:
    each = []
    for layer in range(len(hand.attentions)):
        stream = hand.streams[layer]
        of_block = stream.mean(0, keepdim=True).expand_as(stream) if mean else stream
        felt = np.maximum(hand.gradient(hand.end(of_block)[target], layer), 0)
        each.append(felt.mean(0).mean(0))
    return np.mean(each[-last:], 0)


@PREFIXES
@pytest.mark.parametrize("target", [0, 3])
@pytest.mark.parametrize(("method", "mean", "last"), [("legrad", True, 2), ("legrad(blocks=1, pool=own)", False, 1)])
def test_legrad(prefix: int, target: int, method: str, mean: bool, last: int) -> None:
    network, x = network_of(prefix), picture(*SIZE)
    expected = legrad(ByHand(network, x), target, mean=mean, last=last)
    assert close(ours(network, x, method, target), on_grid(expected, prefix))
    # Not the last score's gradients at every block, and not attention × gradient.
    hand = ByHand(network, x)
    careless = [np.maximum(hand.gradient(hand.score[target], layer), 0).mean((0, 1)) for layer in range(2)]
    if last == 2:
        assert not close(ours(network, x, method, target), on_grid(np.mean(careless, 0), prefix), 1e-2)


@pytest.mark.parametrize("method", ["chefer", "legrad"])
def test_contrast_is_explained_as_the_difference_of_two_scores(method: str) -> None:
    network, x = network_of(1), picture(*SIZE)
    with torch.no_grad():
        merged = network_of(1)
        merged.head.weight[0] = network.head.weight[2] - network.head.weight[3]
        merged.head.bias[0] = network.head.bias[2] - network.head.bias[3]
    contrast = METHODS.make(method)(network, x, Target.of(2, 1, against=3)).values[:, 0]
    assert close(contrast, ours(merged, x, method, 0))


class Looking(nn.Module):
    """Tokens of 4 × 4 pixels; the class token attends to where it is red (class 0) or blue (class 1), and says which.

    The right answer is known to the cell: one attention, its logits the amounts of red and blue.
    """

    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.patch_embed, self.head = nn.Conv2d(3, 2, 4, stride=4), nn.Linear(2, 2)
        self.blocks = nn.Sequential(nn.Sequential(nn.Identity(), Attend(prefix)))
        with torch.no_grad():
            colours = torch.tensor([[1.0, -0.5, -0.5], [-0.5, -0.5, 1.0]])
            self.patch_embed.weight.copy_(colours[:, :, None, None].expand(-1, -1, 4, 4) / 16)
            self.patch_embed.bias.zero_()
            self.head.weight.copy_(torch.eye(2))
            self.head.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2).relu()
        x = torch.cat([x.new_zeros(len(x), self.prefix, 2), x], dim=1)
        scores: torch.Tensor = self.head(self.blocks(x)[:, 0])
        return scores


class Attend(nn.Module):
    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query = torch.ones(len(x), 1, x.shape[1], 1)
        mixed = functional.scaled_dot_product_attention(query, 4 * x.sum(2)[:, None, :, None], x[:, None], scale=1.0)
        return x + mixed[:, 0]


@pytest.mark.parametrize("prefix", [1, 2, 5])
@pytest.mark.parametrize("size", [(32, 48), (48, 32), (40, 40)])
def test_cells_lie_where_they_are(prefix: int, size: tuple[int, int]) -> None:
    network = Looking(prefix)
    pixels = torch.full((1, 3, *size), 0.3)
    pixels[:, :, 4:8, 20:24] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    pixels[:, :, 24:28, 8:12] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    places = {0: (1, 5), 1: (6, 2)}
    for method in ("chefer", "legrad", "legrad(pool=own)"):
        for target, place in places.items():
            found = ours(network, pixels, method, target)[0]
            assert found.shape == (size[0] // 4, size[1] // 4)
            assert divmod(int(found.argmax()), size[1] // 4) == place, (method, target)
    rolled = ours(network, pixels, "attention-rollout")[0]
    highest = {divmod(int(place), size[1] // 4) for place in rolled.flatten().topk(2).indices}
    assert highest == set(places.values())


def test_passes_are_counted_and_the_network_is_asked_as_it_is() -> None:
    network, x = network_of(1), picture(*SIZE, pictures=2)
    with torch.no_grad():
        plain = network(x)
    for method, forward in (("attention-rollout", 2), ("chefer", 2), ("legrad", 4)):  # two blocks for two pictures
        with Passes(network) as passes:
            METHODS.make(method)(passes, x, 0)  # the first question about a network looks at its layers
            before = passes.count
            maps = METHODS.make(method)(passes, x, 0)
            assert isinstance(maps, Maps)
            assert (passes.count - before).forward == forward
            assert (passes.count - before).backward == 2
            assert torch.equal(passes.scores(x), plain)
