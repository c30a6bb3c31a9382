"""Attention found in what a network computes: however it is written, refused by name where it is something else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from sightline.attribution.table import METHODS
from sightline.errors import NotSupportedError
from sightline.models.attention import attentions, explicit
from sightline.passes.passes import Passes
from sightline.testing.architectures import Tokens
from sightline.testing.networks import seeded
from small import close, picture

METHODS_OF_ATTENTION = (
    "attention-rollout",
    "attention-relevance",
    "attention-relevance(form=lrp)",
    "legrad",
    "legrad(pool=own)",
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.7},
        {"is_causal": True},
        {"attn_mask": drawn(2, 3, 6, 6, seed=4) > -1},
        {"attn_mask": drawn(6, 6, seed=5)},
        {"enable_gqa": True},
    ],
    ids=lambda options: "".join(options) or "plain",
)
def test_explicit_attention_is_torchs_own(options: dict[str, object]) -> None:
    heads = 1 if "enable_gqa" in options else 3
    q, k, v = drawn(2, 3, 6, 4), drawn(2, heads, 6, 4, seed=1), drawn(2, heads, 6, 4, seed=2)
    q.requires_grad_()
    expected = functional.scaled_dot_product_attention(q, k, v, **options)
    with explicit():
        found = functional.scaled_dot_product_attention(q, k, v, **options)
    assert close(found.detach(), expected.detach(), 1e-6)
    (one,) = attentions(found.sum(), q, 2, "network")
    assert one.weights.shape == (2, 3, 6, 6)
    assert torch.allclose(one.weights.sum(-1), torch.ones(2, 3, 6), atol=1e-6)


class Written(nn.Module):
    """`Tokens` with its attention written another way: the same network, so the same maps."""

    def __init__(self, attend: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner = Tokens(1)
        for block in self.inner.blocks:
            layer = block.attention
            layer.forward = lambda x, layer=layer: attend(layer, x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(x)
        return scores


def by_matmul(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    batch, tokens, width = x.shape
    heads: int = layer.heads
    q, k, v = layer.qkv(x).reshape(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    weights = (torch.einsum("bhik,bhjk->bhij", q, k) / q.shape[-1] ** 0.5).softmax(dim=3)
    mixed = torch.einsum("bhij,bhjk->bhik", weights, v)
    answer: torch.Tensor = layer.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
    return answer


def by_torchs_module(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    own = nn.MultiheadAttention(x.shape[2], layer.heads, batch_first=True)
    own.in_proj_weight, own.in_proj_bias = layer.qkv.weight, layer.qkv.bias
    own.out_proj.weight, own.out_proj.bias = layer.proj.weight, layer.proj.bias
    answer: torch.Tensor = own.eval()(x, x, x, need_weights=False)[0]
    return answer


@pytest.mark.parametrize("method", [*METHODS_OF_ATTENTION, "attn-lrp", "attn-lrp(through=values)"])
@pytest.mark.parametrize("attend", [by_matmul, by_torchs_module])
def test_the_same_network_written_another_way_has_the_same_map(
    method: str, attend: Callable[[nn.Module, torch.Tensor], torch.Tensor]
) -> None:
    x = picture(16, 24, pictures=2)
    plain = seeded(lambda: Tokens(1))().eval()
    other = Written(attend)
    other.inner.load_state_dict(plain.state_dict())
    expected = METHODS.make(method)(plain, x, 1).values
    assert close(METHODS.make(method)(other.eval(), x, 1).values, expected, 1e-4)


@pytest.mark.parametrize("method", METHODS_OF_ATTENTION)
def test_bfloat16_gives_about_the_same_map(method: str) -> None:
    network, x = seeded(lambda: Tokens(1))().eval(), picture(16, 24)
    exact = METHODS.make(method)(network, x, 1).values
    fast = METHODS.make(method)(Passes(network, precision="fast"), x, 1).values
    assert fast.dtype == torch.float32
    assert not torch.equal(fast, exact)
    assert close(fast, exact, 0.1)


def test_quotients_of_attn_lrp_stay_in_float32() -> None:
    network, x = seeded(lambda: Tokens(1))().eval(), picture(16, 24)
    exact = METHODS.make("attn-lrp")(network, x, 1).values
    assert torch.equal(METHODS.make("attn-lrp")(Passes(network, precision="fast"), x, 1).values, exact)


@pytest.mark.parametrize("method", METHODS_OF_ATTENTION)
def test_threads_with_networks_of_their_own_do_not_meet(method: str) -> None:
    x = picture(16, 24)
    networks = [seeded(lambda: Tokens(1), seed)().eval() for seed in range(4)]
    expected = [METHODS.make(method)(network, x, 1).values for network in networks]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda network: METHODS.make(method)(network, x, 1).values, networks * 2))
    assert all(torch.equal(one, other) for one, other in zip(found, expected * 2, strict=True))


class Towers(nn.Module):
    """Two transformers side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = Tokens(1), Tokens(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.one(x) + self.other(x)
        return scores


class Pooling(nn.Module):
    """One learned token that attends to all cells."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 4)
        self.query = nn.Parameter(torch.ones(1, 1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        pooled = functional.scaled_dot_product_attention(self.query.expand(len(x), -1, -1), x, x)
        scores: torch.Tensor = self.head(pooled[:, 0])
        return scores


class Windows(nn.Module):
    """Attention inside windows of 2 × 2 cells, as Swin's."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 4)
        self.blocks = nn.Sequential(nn.LayerNorm(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.patch_embed(x).permute(0, 2, 3, 1))
        b, h, w, k = x.shape
        windows = x.reshape(b, h // 2, 2, w // 2, 2, k).transpose(2, 3).reshape(-1, 1, 4, k)
        mixed = functional.scaled_dot_product_attention(windows, windows, windows)
        scores: torch.Tensor = self.head(mixed.reshape(b, -1, k).mean(1))
        return scores


class Detached(Tokens):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return super().forward(x)


class Checkpointed(Tokens):
    """Its blocks' activations are made anew on the way back."""

    def __init__(self) -> None:
        super().__init__(1)
        for block in self.blocks:
            inner = block.forward
            block.forward = lambda x, inner=inner: checkpoint(inner, x, use_reentrant=False)


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (Checkpointed, "switch that off"),
        (Towers, "side by side"),
        (Pooling, "not of all tokens to all tokens"),
        (Windows, "inside windows of 4 tokens"),
        (lambda: Detached(1), "no gradient reaches"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(4)), "no attention"),
    ],
)
def test_refused_by_name_with_a_way_out(build: Callable[[], nn.Module], word: str) -> None:
    network = build().eval()
    network(picture(16, 24))
    for method in ("attention-rollout", "attention-relevance"):
        with pytest.raises(NotSupportedError, match=word) as refused:
            METHODS.make(method)(network, picture(16, 24, pictures=2), 1)
        assert any(way in str(refused.value) for way in (": use ", ": switch that off"))
    with pytest.raises(NotSupportedError, match=r": (use|switch) "):
        METHODS.make("legrad")(network, picture(16, 24, pictures=2), 1)


def test_a_function_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="forward-only"):
        METHODS.make("legrad")(lambda x: x.mean((2, 3)), picture(16, 24), 1)
