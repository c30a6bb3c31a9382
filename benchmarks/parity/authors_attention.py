"""Maps from a transformer's attention, written out from their papers: nothing of Sightline in here.

The network is a ViT of timm: blocks of attention and dense layers, each behind a layer normalisation and beside a skip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from parity.injected import unfused
from parity.rows import Case


@dataclass(frozen=True)
class Seen:
    """What a run of the network left: with their graph, of every block its attention `h n n` and its tokens `1 n K`."""

    attentions: list[torch.Tensor]
    tokens: list[torch.Tensor]
    logit: torch.Tensor


def seen(case: Case) -> Seen:
    """One run without fused kernels, which keep no attention."""
    network: Any = case.network
    attentions: list[torch.Tensor] = []
    tokens: list[torch.Tensor] = []
    handles = [
        *(
            block.attn.attn_drop.register_forward_hook(lambda _m, _g, a: attentions.append(a))
            for block in network.blocks
        ),
        *(block.register_forward_hook(lambda _m, _g, a: tokens.append(a)) for block in network.blocks),
    ]
    try:
        with unfused(network):
            logit = network(case.pixels.clone().requires_grad_())[0, case.target]
    finally:
        for handle in handles:
            handle.remove()
    return Seen(attentions, tokens, logit)


def rollout(case: Case) -> torch.Tensor:
    """Attention rollout: the product of (mean over heads + I), rows scaled to sum 1; the class token's row."""
    attentions = seen(case).attentions
    found = torch.eye(attentions[0].shape[-1], dtype=torch.float64)
    for weights in attentions:
        mixed = weights[0].detach().double().mean(0) + torch.eye(len(found))
        found = mixed / mixed.sum(-1, keepdim=True) @ found
    return cells(found[0])


def chefer(case: Case) -> torch.Tensor:
    """Chefer, Gur, Wolf 2021: R ← R + mean over heads of (∇A ⊙ A)⁺ R; the class token's row."""
    run = seen(case)
    slopes = torch.autograd.grad(run.logit, run.attentions)
    found = torch.eye(run.attentions[0].shape[-1], dtype=torch.float64)
    for a, g in zip(run.attentions, slopes, strict=True):
        found = found + (g[0] * a[0]).detach().double().clamp(min=0).mean(0) @ found
    return cells(found[0])


def legrad(case: Case) -> torch.Tensor:
    """LeGrad: of every block, (∂s/∂A)⁺ over heads and queries, s what the head makes of the mean of its tokens."""
    run, network, found = seen(case), case.network, []
    for a, tokens in zip(run.attentions, run.tokens, strict=True):
        score = network.head(network.norm(tokens.mean(1)))[0, case.target]  # type: ignore[operator]
        (slope,) = torch.autograd.grad(score, a, retain_graph=True)
        found.append(slope[0].clamp(min=0).mean((0, 1)))
    return cells(torch.stack(found).mean(0))


def cells(row: torch.Tensor) -> torch.Tensor:
    """A row of a token matrix without the class token, as `h w`."""
    side = round((len(row) - 1) ** 0.5)
    return row[1:].reshape(side, side)
