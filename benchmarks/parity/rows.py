"""One row of the parity table: a method of ours, a peer's, and how far apart their maps may lie.

Both maps are compared raw, before anything is cut off, stretched or enlarged for display, at the resolution at which
the two definitions coincide: at the pixels, or on the cells of a layer.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from scipy.stats import rankdata
from torch import nn

from sightline.attribution.base import Maps
from sightline.attribution.table import METHODS
from sightline.models.classifier import Classifier
from sightline.passes.passes import Passes

AGREED = 1e-4
"""Largest relative difference of maps whose definitions coincide."""

MANY = 10
"""Photographs for every comparison."""

KINKS = "in float64: pictures that differ in their last digit can fall on two sides of a ReLU"

RESNETS = ("ResNet-18", "ResNet-50")
LARGE = ("ResNet-50",)
TRANSFORMERS = ("ViT-Tiny",)
EVERY = (*RESNETS, *TRANSFORMERS)
Where: TypeAlias = Literal["last", "each", "early"]
LAYERS: dict[str, dict[Where, tuple[str, ...]]] = {
    **{name: {"last": ("layer4",), "each": ("layer4", "layer3"), "early": ("layer1",)} for name in RESNETS},
    "ViT-Tiny": dict.fromkeys(("last", "each", "early"), ("blocks.11.norm1",)),
}
"""Where class activation maps are compared. At the last layer methods agree that differ before it; early layers have
few channels, which is what makes methods bearable that cost a pass a channel."""


@dataclass(frozen=True, eq=False)
class Case:
    """One photograph before one network.

    Attributes:
        subject: the network's name in the table.
        classifier: the network with its preparation, as ours are asked.
        photograph: the file's name.
        pixels: `1 3 h w`, prepared.
        target: the class that is explained.
        layer: where class activation maps look.
        known: what ours answered of it before: the same method stands beside several peers.
    """

    subject: str
    classifier: Classifier
    photograph: str
    pixels: torch.Tensor
    target: int
    layer: str
    known: dict[str, Maps] = field(default_factory=dict, repr=False)

    @property
    def network(self) -> nn.Module:
        """The module itself, as peers are asked."""
        network = self.classifier.network
        assert network is not None
        return network

    @property
    def module(self) -> nn.Module:
        """The layer's module."""
        return self.network.get_submodule(self.layer)

    @property
    def tokens(self) -> bool:
        """Whether the layer's cells are tokens, the first of which is no cell."""
        return self.subject in TRANSFORMERS

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the pixels."""
        return (self.pixels.shape[-2], self.pixels.shape[-1])

    def in_double(self) -> Case:
        """The same photograph before a copy of the network, both in float64."""
        classifier = replace(self.classifier, function=copy.deepcopy(self.network).double())
        return replace(self, classifier=classifier, pixels=self.pixels.double(), known={})

    def maps(self, spec: str) -> Maps:
        """What our method gives; `LAYER` in the text is the case's layer."""
        asked = spec.replace("LAYER", self.layer)
        if asked not in self.known:
            passes = Passes(self.classifier, memory=_AT_ONCE)
            self.known[asked] = METHODS.make(asked)(passes, self.pixels, self.target)
        return self.known[asked]

    def ours(self, spec: str) -> torch.Tensor:
        """Our method's raw map: `c h w` at the pixels, or `h w` on the layer's cells."""
        values = self.maps(spec).values[0].detach()
        return values[0] if len(values) == 1 else values

    def grid(self, tokens: torch.Tensor) -> torch.Tensor:
        """A transformer's tokens `b n K` as cells `b K h w`; any other activations as they are."""
        if tokens.ndim != 3:
            return tokens
        cells = tokens[:, 1:]
        side = round(cells.shape[1] ** 0.5)
        return cells.transpose(1, 2).unflatten(2, (side, side))


Make: TypeAlias = Callable[[Case], torch.Tensor]
Fit: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Our map, brought to what a peer's map is by definition, from ours and theirs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """One comparison.

    Attributes:
        ours: our method's text; `LAYER` stands for the layer.
        peer: the package.
        call: what the peer was asked, in words.
        theirs: the peer's map.
        tolerance: the largest relative difference, or None where definitions differ on purpose.
        why: why they differ, or what was done that they can be compared.
        make: our map, where it is more than that of `ours`.
        fit: what is done to ours before it is compared.
        networks: on which.
        dear: on which of these it takes long (`--dear`).
        where: at which layers of the network.
        double: whether both are asked in float64, where float32 loses the digits that are compared.
    """

    ours: str
    peer: str
    call: str
    theirs: Make
    tolerance: float | None = AGREED
    why: str = ""
    make: Make | None = None
    fit: Fit | None = None
    networks: tuple[str, ...] = EVERY
    dear: tuple[str, ...] = ()
    where: Where = "last"
    double: bool = False

    @property
    def method(self) -> str:
        """The name of our method."""
        return METHODS.make(self.ours).name


@dataclass(frozen=True)
class Measured:
    """How far two maps lie apart: the largest difference in parts of theirs, and the agreement of their orders."""

    difference: float
    spearman: float
    seconds: tuple[float, float] = (0.0, 0.0)


_AT_ONCE = 8 << 30
"""Bytes for ours: batches as large as the peers', since other batches are other sums, and ReLUs fall elsewhere."""


def compare(row: Row, case: Case) -> Measured:
    """Both maps of a case, compared.

    Raises:
        ValueError: maps of different shapes.
    """
    case = case.in_double() if row.double else case
    begun = time.perf_counter()
    theirs = row.theirs(case).detach().squeeze().double()
    between = time.perf_counter()
    ours = (row.make(case) if row.make else case.ours(row.ours)).detach().squeeze().double()
    ours = ours if row.fit is None else row.fit(ours, theirs).squeeze()
    ended = time.perf_counter()
    if ours.shape != theirs.shape:
        raise ValueError(f"{row.ours} beside {row.peer}: maps of {tuple(ours.shape)} and {tuple(theirs.shape)}")
    return Measured(apart(ours, theirs), spearman(ours, theirs), (ended - between, between - begun))


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """max |ours − theirs| / max |theirs|."""
    largest = float(theirs.abs().max())
    difference = float((ours - theirs).abs().max())
    if largest == 0:
        return 0.0 if difference == 0 else float("inf")
    return difference / largest


def spearman(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Correlation of the ranks; 1 of two constant maps, 0 where only one is constant."""
    ranks = [rankdata(one.numpy().ravel()) for one in (ours, theirs)]
    spread = [float(one.std()) for one in ranks]
    if 0 in spread:
        return float(spread[0] == spread[1])
    return float(np.corrcoef(*ranks)[0, 1])


def positive(ours: torch.Tensor, _theirs: torch.Tensor) -> torch.Tensor:
    """Our map without its negative parts, which many peers cut off always."""
    return ours.relu()


def either_sign(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Our component with the sign that fits the peer's, which has it by chance; then as `positive`."""
    plus, minus = ours.relu(), (-ours).relu()
    return plus if apart(plus, theirs) <= apart(minus, theirs) else minus


def called(name: str, options: Mapping[str, Any]) -> str:
    """A call in words: `name(key=value, …)`."""
    said = ", ".join(f"{key}={getattr(value, '__name__', value)}" for key, value in options.items())
    return f"{name}({said})" if said else name


def quietly(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A call whose warnings are those of a peer and nobody's business here."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


def rows_of(peer: str) -> Callable[..., Row]:
    """How the rows of a peer are made: ours, its call in words, its map, why they differ, and any other field."""

    def row(ours: str, call: str, theirs: Make, why: str = "", **fields: Any) -> Row:
        return Row(ours=ours, peer=peer, call=call, theirs=theirs, why=why, **fields)

    return row
