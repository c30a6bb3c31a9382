"""AttnLRP written out rule by rule (Achtibat et al., ICML 2024): nothing of Sightline, and no gradients, in here.

Relevance is handed from layer to layer of a ViT of timm, from the class's logit to the pixels: through dense layers and
the patch embedding by the gamma rule, as in the authors' example, through a skip and the position embedding in
proportion, through GELU as it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from parity.rows import Case

DENSE, CONVOLUTION = 0.05, 0.25
"""γ of the authors' example."""

EPSILON, LEAST = 1e-6, 1e-12
"""Added to what relevance is divided by, away from zero, in its root mean square, as ours: in layers, and elsewhere."""


Back: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From what a branch was given, and the relevance of what it made of it, to the relevance of what it was given."""


def over(above: torch.Tensor, below: torch.Tensor, added: float = LEAST) -> torch.Tensor:
    """A quotient whose divisor is never zero."""
    return above / (below + added * below.square().mean().sqrt() * torch.where(below < 0, -1.0, 1.0))


def by_gamma(x: torch.Tensor, layer: nn.Linear, gamma: float, came: torch.Tensor) -> torch.Tensor:
    """The gamma rule for inputs of both signs: contributions of an output's own sign count 1 + γ times."""
    up, down, z, found = x.clamp(min=0), x.clamp(max=0), layer(x), torch.zeros_like(x)
    for own, clamped in ((z > 0, {"min": 0}), (z < 0, {"max": 0})):
        other = {"max": 0} if "min" in clamped else {"min": 0}
        more = layer.weight + gamma * layer.weight.clamp(**clamped)
        less = layer.weight + gamma * layer.weight.clamp(**other)
        bias = layer.bias + gamma * layer.bias.clamp(**clamped)
        share = over(came * own, up @ more.T + down @ less.T + bias, EPSILON)
        found += up * (share @ more) + down * (share @ less)
    return found


def by_norm(x: torch.Tensor, norm: nn.LayerNorm, came: torch.Tensor) -> torch.Tensor:
    """Proposition 3.4: the standard deviation is a constant; what is left is linear, and goes by the epsilon rule."""
    deviation = (x.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
    share = over(came, norm(x)) * norm.weight / deviation
    return x * (share - share.mean(-1, keepdim=True))


def by_product(a: torch.Tensor, b: torch.Tensor, came: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Proposition 3.3: of the relevance of a b half to each, in proportion to the products."""
    share = over(came, 2 * (a @ b))
    return a * (share @ b.mT), b * (a.mT @ share)


def by_attention(x: torch.Tensor, attention: Any, came: torch.Tensor) -> torch.Tensor:
    """Through projection, values and softmax (proposition 3.1) to the tokens `n K` that attention was given."""
    q, k, v = attention.qkv(x).unflatten(1, (3, attention.num_heads, -1)).permute(1, 2, 0, 3)
    logits = attention.scale * q @ k.mT
    weights = logits.softmax(-1)
    mixed = (weights @ v).transpose(0, 1).flatten(1)
    came = by_gamma(mixed, attention.proj, DENSE, came).unflatten(1, (attention.num_heads, -1)).transpose(0, 1)
    at_weights, at_values = by_product(weights, v, came)
    at_logits = logits * (at_weights - weights * at_weights.sum(-1, keepdim=True))
    at_queries, at_keys = by_product(attention.scale * q, k.mT, at_logits)
    parts = torch.stack([at_queries, at_keys.mT, at_values])
    return by_gamma(x, attention.qkv, DENSE, parts.permute(2, 0, 1, 3).flatten(1))


def by_branch(
    norm: nn.LayerNorm, x: torch.Tensor, branch: torch.Tensor, came: torch.Tensor, back: Back
) -> torch.Tensor:
    """A branch behind a normalisation, beside a skip: in proportion to what both bring."""
    share = over(came, x + branch)
    return x * share + by_norm(x, norm, back(norm(x), branch * share))


def by_block(block: Any, x: torch.Tensor, came: torch.Tensor) -> torch.Tensor:
    """A block of attention and two dense layers, from what it was given, `n K`."""

    def dense(given: torch.Tensor, came: torch.Tensor) -> torch.Tensor:
        hidden = block.mlp.fc1(given)
        return by_gamma(given, block.mlp.fc1, DENSE, by_gamma(block.mlp.act(hidden), block.mlp.fc2, DENSE, came))

    attended = block.attn(block.norm1(x)[None])[0]
    middle = x + attended
    came = by_branch(block.norm2, middle, block.mlp(block.norm2(middle)), came, dense)
    return by_branch(block.norm1, x, attended, came, lambda given, came: by_attention(given, block.attn, came))


@torch.no_grad()
def attn_lrp(case: Case) -> torch.Tensor:
    """AttnLRP's map at the pixels, `c h w`."""
    network: Any = case.network
    embedding, patches = patched(network.patch_embed.proj, case.pixels)
    embedded = torch.cat([network.cls_token[0], embedding(patches)])
    given = [embedded + network.pos_embed[0]]
    for block in network.blocks:
        given.append(block(given[-1][None])[0])
    read = network.norm(given[-1][:1])
    score = network.head(read)
    begun = score * (torch.arange(score.shape[1]) == case.target)
    came = torch.zeros_like(given[-1])
    came[:1] = by_norm(given[-1][:1], network.norm, by_gamma(read, network.head, DENSE, begun))
    for block, x in zip(reversed(network.blocks), reversed(given[:-1]), strict=True):
        came = by_block(block, x, came)
    at_patches = by_gamma(patches, embedding, CONVOLUTION, (embedded * over(came, given[0]))[1:])
    side = network.patch_embed.proj.kernel_size[0]
    return functional.fold(at_patches.T[None], case.size, side, stride=side)[0]


def patched(convolution: nn.Conv2d, pixels: torch.Tensor) -> tuple[nn.Linear, torch.Tensor]:
    """A patch embedding as a dense layer, and the patches that it is given, `n (c p p)`."""
    side = convolution.kernel_size[0]
    patches = functional.unfold(pixels, side, stride=side)[0].T
    layer = nn.Linear(patches.shape[1], convolution.out_channels).to(patches)
    assert convolution.bias is not None
    layer.weight.data, layer.bias.data = convolution.weight.flatten(1), convolution.bias.detach()
    return layer, patches
