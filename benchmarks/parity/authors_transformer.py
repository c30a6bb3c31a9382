"""Relevance times gradient of attention (Chefer, Gur, Wolf, CVPR 2021), step by step after the authors' code.

Relevance is handed from the class's logit, where it is 1, down a ViT of timm, block by block, and looked at where it
meets each attention. Nothing of Sightline is in here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from parity.authors_attention import cells, seen
from parity.rows import Case

LEAST = 1e-9
"""Added to what relevance is divided by, away from zero, in its root mean square, as ours; the authors add as much as
it stands and whatever the sign."""


def over(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """A quotient, which is 0 where the divisor is."""
    added = LEAST * below.square().mean().sqrt() * torch.where(below < 0, -1.0, 1.0)
    return torch.where(below == 0, 0.0, above / (below + added))


def by_layer(x: torch.Tensor, layer: nn.Linear, came: torch.Tensor) -> torch.Tensor:
    """A dense layer: in proportion to the positive contributions alone, without the bias."""
    up, down = x.clamp(min=0), x.clamp(max=0)
    rise, fall = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    share = over(came, up @ rise.T + down @ fall.T)
    return up * (share @ rise) + down * (share @ fall)


def by_product(a: torch.Tensor, b: torch.Tensor, came: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A product of two parts: in proportion to the products, half to each factor."""
    share = over(came, a @ b) / 2
    return a * (share @ b.mT), b * (a.mT @ share)


def by_sum(a: torch.Tensor, b: torch.Tensor, came: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A sum: in proportion, and then each part scaled to the share of all that the size of its own sum is."""
    share = over(came, a + b)
    parts = (a * share, b * share)
    sizes = [part.sum().abs() for part in parts]
    one, other = (
        part * over(over(size, sizes[0] + sizes[1]) * came.sum(), part.sum())
        for part, size in zip(parts, sizes, strict=True)
    )
    return one, other


def by_attention(x: torch.Tensor, attention: Any, came: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The relevance of the tokens `n K` that an attention was given, and of its weights `h n n`."""
    q, k, v = attention.qkv(x).unflatten(1, (3, attention.num_heads, -1)).permute(1, 2, 0, 3)
    weights = (attention.scale * q @ k.mT).softmax(-1)
    mixed = (weights @ v).transpose(0, 1).flatten(1)
    came = by_layer(mixed, attention.proj, came).unflatten(1, (attention.num_heads, -1)).transpose(0, 1)
    at_weights, at_values = by_product(weights, v, came)
    at_queries, at_keys = by_product(q, k.mT, at_weights)  # the softmax hands on what it gets
    parts = torch.stack([at_queries, at_keys.mT, at_values])
    return by_layer(x, attention.qkv, parts.permute(2, 0, 1, 3).flatten(1)), at_weights


def by_block(block: Any, x: torch.Tensor, came: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The relevance of what a block was given, and of its attention's weights; normalisations and GELU hand it on."""
    attended = block.attn(block.norm1(x)[None])[0]
    middle = x + attended
    given = block.norm2(middle)
    hidden = block.mlp.act(block.mlp.fc1(given))
    skip, branch = by_sum(middle, block.mlp.fc2(hidden), came)
    came = skip + by_layer(given, block.mlp.fc1, by_layer(hidden, block.mlp.fc2, branch))
    skip, branch = by_sum(x, attended, came)
    branch, at_weights = by_attention(block.norm1(x), block.attn, branch)
    return skip + branch, at_weights


@torch.no_grad()
def relevance_of_attentions(case: Case) -> list[torch.Tensor]:
    """The relevance of each block's attention, `h n n`, first block to last."""
    network: Any = case.network
    embedded = network.patch_embed(case.pixels)[0]
    given = [torch.cat([network.cls_token[0], embedded]) + network.pos_embed[0]]
    for block in network.blocks:
        given.append(block(given[-1][None])[0])
    read = network.norm(given[-1][:1])
    hot = torch.zeros_like(network.head(read))
    hot[0, case.target] = 1
    came, found = torch.zeros_like(given[-1]), []
    came[:1] = by_layer(read, network.head, hot)
    for block, x in zip(reversed(network.blocks), reversed(given[:-1]), strict=True):
        came, at_weights = by_block(block, x, came)
        found.append(at_weights)
    return found[::-1]


def relevance_times_gradient(case: Case) -> torch.Tensor:
    """R ← (I + mean over heads of (∇A ⊙ relevance of A)⁺) R; the class token's row."""
    run = seen(case)
    slopes = torch.autograd.grad(run.logit, run.attentions)
    found = torch.eye(run.attentions[0].shape[-1], dtype=torch.float64)
    for at_weights, slope in zip(relevance_of_attentions(case), slopes, strict=True):
        found = found + (slope[0] * at_weights).double().clamp(min=0).mean(0) @ found
    return cells(found[0])
