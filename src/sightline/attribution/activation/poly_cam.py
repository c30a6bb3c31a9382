"""Poly-CAM: the last layer's map refined grid by grid, up to the first layer's detail.

    H_k = U(n(A_k))                                      n: stretched to 0…1 without outliers, U: enlarged
    w_k = ReLU( p(x ⊙ H_k) + p(x) − p(x ⊙ (1 − H_k)) )   PCAM±: what the channel keeps, and what is lost without it
    M_l = ReLU( Σ_k w_k A_k )                            at layer l
    P_L = M_L,   P_l = M_l / U(D(M_l)) ⊙ U(P_{l+1})      D: averaged to the grid of P_{l+1}; LNorm
    map = n(P_1)

Englebert, Cornu, De Vleeschouwer, "Poly-CAM: High resolution class activation map for convolutional neural networks",
ICPR 2022 (arXiv 2204.13359), after the authors' code. PCAM+ is p(x ⊙ H_k) alone, `weight=plus`; PCAM− the fall
p(x) − p(x ⊙ (1 − H_k)) alone, `weight=minus`. Outliers are the least and the largest 0.1 % of the cells. The code
divides by the largest value where a stretch to 0…1 divides by the range: the same where a channel's least value is 0,
as behind most ReLUs, and no mask at all where values are of both signs; `stretch=largest` is the code's. It reduces
bilinearly, the same where a grid is half as fine as the next; where it is less, cells would be skipped. Without
`layers`, the last layer is followed by the last one on each finer grid before it. Guarantees: values from 0 to 1; 0
wherever the last layer's map is 0 all around. Costs two forward passes a channel of each layer (ResNet-50: 7,808), half
of it with `plus` or `minus`; `channels=32` keeps those of each layer that vary most.

    sightline.explain(model, "dog.jpg", "poly-cam(channels=32)")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch.nn import functional

from sightline.attribution.activation.channel_masks import Reading, enlarged, strongest
from sightline.attribution.activation.fusion import over
from sightline.attribution.base import Maps, Method, Needs, Traits, Wants
from sightline.attribution.foreseen import Foreseen
from sightline.errors import LayerError
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks
from sightline.types import Doc, Pixels, Range

Stretch = Literal["range", "largest"]

_OUTLIERS = 0.001  # share of the cells at either end, as in the authors' code
_SMALL = 1e-12


@dataclass(frozen=True, eq=False)
class Trimmed(MaskSource):
    """One mask a channel: its activations `b K h w` from 0 to 1 without outliers, enlarged; or what it leaves over."""

    activations: torch.Tensor
    size: tuple[int, int]
    stretch: Stretch
    rest: bool

    def __len__(self) -> int:
        return self.activations.shape[1]

    def make(self, rows: slice) -> torch.Tensor:
        some = self.activations[:, rows].transpose(0, 1)
        masks = enlarged(trimmed(some, self.stretch), self.size).unsqueeze(2)
        return 1 - masks if self.rest else masks


@dataclass(frozen=True, kw_only=True)
class PolyCam(Method):
    """Maps weighted by what their channels keep and hide, from the last layer to the first, multiplied."""

    weight: Annotated[
        Literal["plus-minus", "plus", "minus"], Doc("channels count by what they keep and what is lost, or one of both")
    ] = "plus-minus"
    layers: Annotated[
        tuple[str, ...] | None, Doc("names of the layers in the network's order; chosen and reported when left out")
    ] = None
    grids: Annotated[int | None, Range(1, 16), Doc("how many layers are chosen; every finer grid when left out")] = None
    channels: Annotated[int | None, Range(1, 1 << 20), Doc("only those of each layer that vary most")] = None
    stretch: Annotated[Stretch, Doc("masks are divided by the range of values, or by the largest as in the code")] = (
        "range"
    )

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(2 Σ_l K_l + layers + 1) F",
        paper="Englebert, Cornu, De Vleeschouwer, Poly-CAM, ICPR 2022",
        signed=False,
        linear=False,
    )

    def wants(self) -> Wants:
        return Wants(layers=(None,) if self.layers is None else self.layers)

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        total, views = 0, list(self._views(passes, pixels))
        for view in views:
            total += strongest(view.activations, self.channels).shape[1]
        unshared = 0 if self.layers else len(views) - 1
        each = 2 if self.weight == "plus-minus" else 1
        return Foreseen(forward=each * total + unshared, clean=2 * len(views) - unshared, untold=int(not self.layers))

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        fine, names = torch.empty(0), list[str]()
        for view in self._views(passes, pixels):
            own = self._map_at(view, passes, pixels, target)
            if names and (own.shape[2] < fine.shape[2] or own.shape[3] < fine.shape[3]):
                raise LayerError(
                    f"poly-cam goes from coarse to fine grids, but layer {view.layer.name!r} is coarser than the later "
                    f"layer {names[-1]!r}: give `layers` in the network's order"
                )
            fine = refined(own, fine) if names else own
            names.append(view.layer.name)
        said = (f"only one layer was looked at, {names[0]!r}: name others in `layers`",) if len(names) == 1 else ()
        return Maps(values=trimmed(fine, self.stretch), layer=", ".join(names), warnings=said)

    def _views(self, passes: Passes, pixels: Pixels) -> Iterator[LayerView]:
        """The layers, the last one first."""
        if self.layers:
            for name in reversed(self.layers):
                yield passes.layer(pixels, name, None)
            return
        last = passes.layer(pixels, passes.classifier.layer, None)
        yield last
        finer = passes.finer_layers(pixels, last.layer.name)
        for name in finer if self.grids is None else finer[: self.grids - 1]:
            yield passes.layer(pixels, name, None)

    def _map_at(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        """A layer's own map, `b 1 h w`; zero where no mask moves the probability, since nothing is known there."""
        given = pixels.to(passes.device)
        activations, reading = strongest(view.activations, self.channels), Reading(passes, target, "probability")
        clean = reading.of(passes.scores(pixels))
        weights = torch.zeros(activations.shape[1], len(pixels), dtype=torch.float64, device=given.device)
        most = torch.zeros_like(clean)
        for rest in {"plus": (False,), "minus": (True,), "plus-minus": (False, True)}[self.weight]:
            masks = Trimmed(activations, (given.shape[2], given.shape[3]), self.stretch, rest)
            shown = passes.perturbed(given, Masks(masks, torch.zeros_like(given)))
            found = torch.stack([reading.of(scores) for scores in shown])
            most = torch.maximum(most, (found - clean).abs().amax(0))
            weights += clean - found if rest else found
        # Only proportions matter from here on; those of a class near probability 0 would be lost to rounding.
        weights = over(weights.relu(), weights.amax(0))
        weights = torch.where(most > 1e-6 * clean, weights, 0.0).float()
        return torch.einsum("kb,bkhw->bhw", weights, activations).relu()[:, None]


def refined(own: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """A finer layer's map against its own blurred form, times the map so far: `b 1 h w`, `b 1 i j` → `b 1 h w`."""
    size = (own.shape[2], own.shape[3])
    around = functional.interpolate(own, coarse.shape[2:], mode="area")
    return own / enlarged(around, size).clamp(min=_SMALL) * enlarged(coarse, size)


def trimmed(maps: torch.Tensor, stretch: Stretch) -> torch.Tensor:
    """Maps `… h w` stretched to 0…1, each by itself, with the 0.1 % at either end cut off; 0 where all is alike."""
    low, high = _end(maps, largest=False), _end(maps, largest=True)
    scale = high - low if stretch == "range" else high
    return ((maps - low) / scale.clamp(min=_SMALL)).clamp(0, 1)


def _end(maps: torch.Tensor, *, largest: bool) -> torch.Tensor:
    """The 0.1 % quantile from either end, `… 1 1`, between the two nearest cells."""
    cells = maps.flatten(-2)
    place = _OUTLIERS * (cells.shape[-1] - 1)
    ends = cells.topk(min(int(place) + 2, cells.shape[-1]), largest=largest).values
    first, second = ends[..., int(place)], ends[..., min(int(place) + 1, ends.shape[-1] - 1)]
    return (first + (place - int(place)) * (second - first))[..., None, None]
