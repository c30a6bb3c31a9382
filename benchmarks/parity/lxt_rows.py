"""lxt (the authors of AttnLRP): its rules under the same ViT, built from torchvision's parts, and from lxt's own.

Its `efficient` half changes how torch's own modules propagate gradients, for its example about torchvision's ViT; its
`explicit` half has a function for each rule.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from lxt.explicit import functional as lf
from lxt.explicit.rules import identity
from torch import nn
from torch.nn import functional
from torchvision.models import vision_transformer
from zennit.composites import LayerMapComposite
from zennit.core import BasicHook
from zennit.rules import Gamma

from parity.injected import replaced
from parity.rows import TRANSFORMERS, Case, Make, rows_of

row = rows_of("lxt")
EXACT = "epsilon(epsilon=1e-12)"
NONE = "in float64; lxt works with gradients there and needs no ε, ours adds 10⁻¹² in root mean squares"
INSIDE = (
    "lxt's gamma rule is zennit's, whose hooks see the dense layers of the blocks but not the projections inside "
    "torch's attention, which keep epsilon; ours has gamma in all dense layers"
)


@lru_cache(maxsize=1)
def efficient() -> tuple[Any, Any]:
    """lxt.efficient, and what it has for torchvision's ViT: of its models, others need an older transformers."""
    models = ModuleType("lxt.efficient.models")
    models.__path__ = [str(Path(lf.__file__).parents[1] / "efficient" / "models")]
    models.get_default_map = lambda _module: None  # type: ignore[attr-defined]
    with patch.dict(sys.modules):
        sys.modules[models.__name__] = models
        return import_module("lxt.efficient"), import_module("lxt.efficient.models.vit_torch").cp_LRP


def torchvisions(timms: Any) -> nn.Module:
    """A ViT of timm as torchvision's, with the same weights."""
    block = timms.blocks[0]
    twin = vision_transformer.VisionTransformer(
        image_size=timms.patch_embed.img_size[0],
        patch_size=timms.patch_embed.patch_size[0],
        num_layers=len(timms.blocks),
        num_heads=block.attn.num_heads,
        hidden_dim=timms.embed_dim,
        mlp_dim=block.mlp.fc1.out_features,
        num_classes=timms.num_classes,
    )
    weights = timms.state_dict()
    for old, new in NAMES:
        weights = {name.replace(old, new): value for name, value in weights.items()}
    twin.load_state_dict(weights)
    return twin.to(timms.pos_embed).eval().requires_grad_(False)


NAMES = (
    ("cls_token", "class_token"),
    ("pos_embed", "encoder.pos_embedding"),
    ("patch_embed.proj", "conv_proj"),
    ("blocks.", "encoder.layers.encoder_layer_"),
    ("attn.qkv.", "self_attention.in_proj_"),
    ("attn.proj", "self_attention.out_proj"),
    (".norm", ".ln_"),
    ("norm.", "encoder.ln."),
    ("mlp.fc1", "mlp.0"),
    ("mlp.fc2", "mlp.3"),
    ("head.", "heads.head."),
)
"""From timm's names of weights to torchvision's, one after the other."""


@contextmanager
def patched() -> Iterator[None]:
    """While torch's modules and zennit's hooks are as lxt has them."""
    changed = [(owner, "forward") for owner in (nn.GELU, nn.LayerNorm, nn.MultiheadAttention, BasicHook)]
    lxt, rules = efficient()
    with replaced(*((owner, name, getattr(owner, name)) for owner, name in [*changed, (BasicHook, "backward")])):
        lxt.monkey_patch(vision_transformer, rules)
        lxt.monkey_patch_zennit()
        yield


def example(*rules: tuple[type[nn.Module], float]) -> Make:
    """The authors' example for vision: CP-LRP in attention, zennit's gamma rule by kinds of layers."""

    def theirs(case: Case) -> torch.Tensor:
        network, leaf = torchvisions(case.network), case.pixels.clone().requires_grad_()
        with patched(), LayerMapComposite([(kind, Gamma(gamma)) for kind, gamma in rules]).context(network) as shaped:
            (gradient,) = torch.autograd.grad(shaped(leaf)[0, case.target], leaf)
        return (leaf * gradient)[0].detach()

    return theirs


def stabilised(below: torch.Tensor, *_given: object, **_options: object) -> torch.Tensor:
    """In place of lxt's ε, which is added whatever the sign: ours, in root mean squares, away from zero."""
    return below + 1e-12 * below.square().mean().sqrt() * torch.where(below < 0, -1.0, 1.0)


def attended(x: torch.Tensor, attention: Any) -> torch.Tensor:
    """Attention from lxt's rules, of tokens `n K`."""
    whole = lf.linear_epsilon(x, attention.qkv.weight, attention.qkv.bias)
    q, k, v = whole.unflatten(1, (3, attention.num_heads, -1)).permute(1, 2, 0, 3)
    weights = lf.softmax(lf.matmul(q, k.mT), -1, temperature=1 / attention.scale)
    mixed = lf.matmul(weights, v).transpose(0, 1).flatten(1)
    return lf.linear_epsilon(mixed, attention.proj.weight, attention.proj.bias)


def explicit(case: Case) -> torch.Tensor:
    """AttnLRP with the epsilon rule in all layers: the network put together from lxt's functions."""
    network: Any = case.network
    leaf = case.pixels.clone().requires_grad_()

    def normed(x: torch.Tensor, norm: nn.LayerNorm) -> torch.Tensor:
        return lf.layer_norm(x, norm.weight, norm.bias, norm.eps)

    def dense(x: torch.Tensor, layer: Any) -> torch.Tensor:
        return lf.linear_epsilon(x, layer.weight.flatten(1), layer.bias)

    with replaced((lf, "_stabilize", stabilised)):
        size = network.patch_embed.proj.kernel_size[0]
        embedded = dense(functional.unfold(leaf, size, stride=size)[0].T, network.patch_embed.proj)
        x = lf.add2(torch.cat([network.cls_token[0], embedded]), network.pos_embed[0])
        for block in network.blocks:
            x = lf.add2(x, attended(normed(x, block.norm1), block.attn))
            hidden = identity(block.mlp.act, dense(normed(x, block.norm2), block.mlp.fc1))
            x = lf.add2(x, dense(hidden, block.mlp.fc2))
        score = dense(normed(x[:1], network.norm), network.head)[0, case.target]
        (found,) = torch.autograd.grad(score, leaf, score.detach())
    return found[0]


ROWS = [
    row(
        f"attn-lrp(dense={EXACT}, convolution={EXACT})",
        "explicit: softmax, matmul, linear_epsilon, layer_norm, identity, add2",
        explicit,
        "in float64: quotients of small differences; with our ε in both, since lxt adds its own whatever the sign",
        networks=TRANSFORMERS,
        double=True,
    ),
    row(
        f"attn-lrp(dense={EXACT}, through=values)",
        "efficient: cp_LRP, Gamma(0.25) in convolutions",
        example((nn.Conv2d, 0.25)),
        NONE,
        networks=TRANSFORMERS,
        double=True,
    ),
    row(
        "attn-lrp(through=values)",
        "efficient: cp_LRP, Gamma(0.25) in convolutions, Gamma(0.05) in dense layers",
        example((nn.Conv2d, 0.25), (nn.Linear, 0.05)),
        INSIDE,
        networks=TRANSFORMERS,
        tolerance=None,
    ),
]
