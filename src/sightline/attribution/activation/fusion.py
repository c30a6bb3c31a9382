"""The engine of maps joined over layers: where to look from the late layers, outlines from the early ones.

A fusion states how the map of one layer is scaled on its own grid, and how the enlarged maps become one. Where no
layers are named, the last one is joined with the last one on each finer grid before it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from torch.nn import functional

from sightline.attribution.activation.layer_cam import LayerCam
from sightline.attribution.base import Maps, Method, Traits, Wants, merged
from sightline.attribution.foreseen import Foreseen
from sightline.errors import SpecError
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.spec import has_field, with_fields
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class Fusion(Method):
    """A method's maps at several layers, joined; a subclass states how."""

    of: Annotated[Method, Doc("the method whose maps are joined; it must look at a layer")] = LayerCam()
    layers: Annotated[tuple[str, ...] | None, Doc("names of the layers; chosen and reported when left out")] = None
    grids: Annotated[int, Range(1, 16), Doc("how many layers are chosen, each on a finer grid than the one before")] = 3

    paper: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not has_field(self.of, "layer"):
            raise SpecError(f"{self.name} joins maps of several layers, but {self.of} looks at none: try of=layer-cam")

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """The wrapped method's own, once for each layer, on a scale of its own."""
        own, cost = replace(self.of.traits, family="activation", paper=self.paper), f"layers × ({self.of.traits.cost})"
        return replace(own, cost=cost, signed=False, linear=False, complete=False)

    @abstractmethod
    def scale(self, values: torch.Tensor) -> torch.Tensor:
        """One layer's map on its own grid, `b 1 h w`, from 0 to 1."""

    @abstractmethod
    def joined(self, each: torch.Tensor) -> torch.Tensor:
        """The enlarged maps, `layers b 1 h w`, as one."""

    def wants(self) -> Wants:
        return self.of.wants() if self.layers is None else Wants(layers=self.layers)

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        names, found = self.layers, Foreseen(clean=0)
        if names is None:
            found = self.of.foresee(passes, pixels, target)
            names = self._finer(passes, pixels, passes.layer(pixels, passes.classifier.layer, target).layer.name)
            found = found.and_(forward=len(names))  # the clean pass keeps the last layer, not those found from it
        each = (with_fields(self.of, layer=name).foresee(passes, pixels, target) for name in names)
        return sum(each, found)

    @final
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        found = self._maps(passes, pixels, target)
        scaled = [self.scale(maps.values.sum(1, keepdim=True).float()) for maps in found]
        size = pixels.shape[-2:]
        each = [functional.interpolate(one, size, mode="bilinear", align_corners=False) for one in scaled]
        names = [maps.layer for maps in found if maps.layer is not None]
        said = tuple(word for maps in found for word in maps.warnings)
        cautions = merged(maps.cautions for maps in found)
        if len(found) == 1:
            said += (f"only one layer was looked at, {names[0]!r}: name those to be joined in `layers`",)
        return Maps(values=self.joined(torch.stack(each)), layer=", ".join(names), warnings=said, cautions=cautions)

    def _maps(self, passes: Passes, pixels: Pixels, target: Target) -> list[Maps]:
        """The maps of the wrapped method at each layer, the last layer first where none was named."""
        names, found = self.layers, list[Maps]()
        if names is None:
            found.append(self.of.attribute(passes, pixels, target))
            assert found[0].layer is not None
            names = self._finer(passes, pixels, found[0].layer)
        return found + [with_fields(self.of, layer=name).attribute(passes, pixels, target) for name in names]

    def _finer(self, passes: Passes, pixels: Pixels, last: str) -> tuple[str, ...]:
        return tuple(passes.finer_layers(pixels, last)[: self.grids - 1])


def over(values: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
    """Values in parts of the largest; 0 where that is 0."""
    return values / torch.where(largest == 0, 1, largest)
