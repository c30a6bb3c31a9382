"""Small networks of every make that has broken an explainer: each builds in milliseconds, from a seed, without files.

They are left as a careless user leaves them: in training mode, with dropout on and batch normalisation that would move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from sightline.models.classifier import Classifier, wrap
from sightline.testing.architectures import (
    Answers,
    ChannelsLast,
    FunctionalRelu,
    Plain,
    Residual,
    SharedRelu,
    Stubborn,
    Tokens,
    batch_statistics,
    depthwise,
    plain_with_statistics,
)

SIZE = (16, 24)


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One small network, and what the contract may ask of it.

    Attributes:
        name: what is special about it.
        build: makes a fresh network, the same one every time.
        twin: makes the network that must be explained alike at every layer of `layers`.
        layers: layers that a map can be drawn at.
        wrong_layers: layers that must be refused.
        size: height and width of the input.
        wrapped: from the network to what is explained, where that is not the network itself.
        alike: whether the twin's layer is also chosen alike.
    """

    name: str
    build: Callable[[], nn.Module]
    twin: Callable[[], nn.Module] | None = None
    layers: tuple[str, ...] = ()
    wrong_layers: tuple[str, ...] = ()
    size: tuple[int, int] = SIZE
    wrapped: Callable[[nn.Module], Classifier | nn.Module] = lambda network: network
    alike: bool = True

    def pixels(self, pictures: int = 1, seed: int = 0) -> torch.Tensor:
        """Prepared input from 0 to 1, `b 3 h w`."""
        return torch.rand(pictures, 3, *self.size, generator=torch.Generator().manual_seed(seed))


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> Callable[[], nn.Module]:
    """A builder of the same network every time; parameters and buffers from a generator of its own."""

    def made() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            network = build()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, value in [*network.named_parameters(), *network.named_buffers()]:
                _fill(name, value, generator)
        return network

    return made


def _fill(name: str, value: torch.Tensor, generator: torch.Generator) -> None:
    if not value.is_floating_point():
        return
    noise = torch.randn(value.shape, generator=generator)
    if name.endswith("running_var"):
        value.copy_(0.5 + noise.abs())
    elif value.ndim < 2 and name.endswith("weight"):
        value.copy_(1 + 0.2 * noise)
    elif value.ndim < 2:
        value.copy_(0.1 * noise)
    else:
        value.copy_(noise / max(1, value[0].numel()) ** 0.5)


def as_function(network: nn.Module) -> Classifier:
    """The network behind a plain function: forward-only, without layers."""

    def function(pixels: torch.Tensor) -> Any:
        return network(pixels)

    return wrap(function, head="softmax")


def networks() -> tuple[Specimen, ...]:
    """Every small network of the contract."""
    return (*_convolutional(), *_tokens(), *_outputs(), *_awkward())


_PLAIN = ("conv1", "relu1", "conv2", "relu2")


def _convolutional() -> Iterator[Specimen]:
    yield Specimen(name="plain", build=seeded(Plain), layers=_PLAIN, wrong_layers=("tail.linear", "conv3"))
    yield Specimen(name="batch norm and dropout", build=seeded(plain_with_statistics), layers=("4", "6"))
    yield Specimen(
        name="in-place relu", build=seeded(lambda: Plain(True)), twin=seeded(lambda: Plain(False)), layers=_PLAIN
    )
    yield Specimen(
        name="shared relu",
        build=seeded(SharedRelu),
        twin=seeded(lambda: SharedRelu(False)),
        layers=("conv1", "conv2"),
        wrong_layers=("relu", "pool"),
        alike=False,
    )
    yield Specimen(
        name="functional relu",
        build=seeded(FunctionalRelu),
        twin=seeded(lambda: FunctionalRelu(False)),
        layers=("conv1", "conv2"),
    )
    yield Specimen(
        name="residual",
        build=seeded(Residual),
        twin=seeded(lambda: Residual(False)),
        layers=("layer1.0", "layer1[-1]", "layer1.1.bn2", "stem"),
        wrong_layers=("layer1.0.relu", "layer1[7]"),
    )
    yield Specimen(name="depthwise silu", build=seeded(depthwise), layers=("2", "6"))


def _tokens() -> Iterator[Specimen]:
    blocks = ("blocks.0", "blocks[1].norm1", "patch_embed")
    yield Specimen(
        name="class token", build=seeded(lambda: Tokens(1)), layers=blocks, wrong_layers=("norm", "blocks.1")
    )
    yield Specimen(name="register tokens", build=seeded(lambda: Tokens(5)), layers=blocks, wrong_layers=("norm",))
    yield Specimen(name="mean of tokens", build=seeded(lambda: Tokens(0)), layers=("norm", "blocks.1"))
    yield Specimen(name="channels last", build=seeded(ChannelsLast), layers=("block", "norm"))


def _outputs() -> Iterator[Specimen]:
    """What a network may return."""
    heads: dict[str, Callable[[torch.Tensor], Any]] = {
        "tuple output": lambda scores: (scores, None),
        "dict output": lambda scores: {"logits": scores},
        "object output": lambda scores: SimpleNamespace(loss=None, logits=scores),
    }
    for name, head in heads.items():
        yield Specimen(name=name, build=seeded(partial(Answers, head)), layers=_PLAIN)
    yield Specimen(name="one logit", build=seeded(lambda: Plain(classes=1)), layers=_PLAIN)
    yield Specimen(name="sigmoid head", build=seeded(lambda: Answers(torch.sigmoid)), layers=_PLAIN)
    yield Specimen(name="softmax head", build=seeded(lambda: Answers(lambda scores: scores.softmax(1))), layers=_PLAIN)


def _awkward() -> Iterator[Specimen]:
    yield Specimen(name="overridden train", build=seeded(Stubborn), layers=_PLAIN)
    yield Specimen(name="batch statistics", build=seeded(batch_statistics), layers=("0", "2"))
    yield Specimen(name="forward only", build=seeded(Plain), wrapped=as_function)
