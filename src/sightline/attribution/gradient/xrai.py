"""XRAI: which regions matter, grown from the one with the densest attribution.

    a = channel-wise largest value of the mean of integrated gradients from black and from white
    regions = Felzenszwalb's segments at six scales, each enlarged by a few pixels
    add the region with the highest mean of a over its pixels not yet covered; that mean is their value; go on

Kapishnikov, Bolukbasi, Viégas, Terry, "XRAI: Better Attributions Through Regions", ICCV 2019, algorithm 1; scales,
sizes and the largest value of the channels as in the authors' code (`channels=sum` adds them instead). Its lengths hold
for 224 × 224 pixels and grow with the picture; regions with fewer than 50 new pixels are passed over, and what no
region covers gets its own mean. `order=once` is the code's fast algorithm: regions in the order of the mean of a over
all their pixels, covered or not. Guarantees: the map keeps the total of a. Needs scikit-image: `pip install
'sightline[regions]'`. Costs 2n + 2 forward and 2n backward passes, and six segmentations.

    sightline.explain(model, "dog.jpg", "xrai(steps=50)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.images.fills import Black, White
from sightline.images.segments import Felzenszwalb
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range

Order: TypeAlias = Literal["grown", "once"]
# The authors cut pictures from −1 to 1; these are their 50, 100, 150, 250, 500 and 1200 for pictures from 0 to 1.
_SCALES = (25.0, 50.0, 75.0, 125.0, 250.0, 600.0)
_SIDE, _SMALLEST, _ENLARGED, _FEWEST_NEW = 224, 150, 5, 50


@dataclass(frozen=True, kw_only=True)
class Xrai(Method):
    """Regions in the order of their density of attribution."""

    steps: Annotated[int, Range(1, 4096), Doc("points on the way from black, and from white")] = 100
    channels: Annotated[Literal["largest", "sum"], Doc("how a pixel's channels become one, before regions grow")] = (
        "largest"
    )
    order: Annotated[Order, Doc("by the pixels that are new each time, or once by all pixels")] = "grown"

    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="(2n + 2) F + 2n B",
        paper="Kapishnikov et al., XRAI: Better Attributions Through Regions, ICCV 2019",
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        way = IntegratedGradients(steps=self.steps)
        return way.foresee(passes, pixels, target) + way.foresee(passes, pixels, target)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        regions = [regions_of(one, passes) for one in given.split(1)]  # first, since scikit-image may be missing
        ways = [IntegratedGradients(steps=self.steps, baseline=fill) for fill in (Black(), White())]
        mean = torch.stack([way.attribute(passes, pixels, target).values for way in ways]).mean(0)
        flat = mean.amax(1) if self.channels == "largest" else mean.sum(1)
        fewest = max(1, round(_FEWEST_NEW * _area(given)))
        rows = zip(regions, flat.double().cpu().numpy(), strict=True)
        grown = np.stack([grow(one.reshape(len(one), -1), row.ravel(), fewest, self.order) for one, row in rows])
        return Maps(values=torch.from_numpy(grown).view_as(flat)[:, None].to(mean))


def regions_of(picture: Pixels, passes: Passes) -> NDArray[np.bool_]:
    """Overlapping regions of one picture `1 c h w`, `n h w`: the segments of all scales, enlarged.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    smallest, radius = max(1, round(_SMALLEST * _area(picture))), round(_ENLARGED * _area(picture) ** 0.5)
    cuts = [Felzenszwalb(scale=scale, smallest=smallest) for scale in _SCALES]
    labels = [cut.make(picture, passes.classifier.values)[0].cpu().numpy() for cut in cuts]
    return np.concatenate([enlarged(one, radius) for one in labels])


def enlarged(labels: NDArray[np.int64], radius: int) -> NDArray[np.bool_]:
    """The regions `n h w` of labels `h w`, each with all that is within `radius` pixels of it."""
    height, width = labels.shape
    places = np.argwhere(np.ones(labels.shape, bool))
    found = np.zeros((int(labels.max()) + 1, height, width), bool)
    reach = range(-radius, radius + 1)
    for step in ((down, across) for down in reach for across in reach if down**2 + across**2 <= radius**2):
        near = places + step
        inside = ((near >= 0) & (near < labels.shape)).all(1)
        found[labels[tuple(near[inside].T)], *places[inside].T] = True
    return found


def grow(regions: NDArray[np.bool_], values: NDArray[np.float64], fewest: int, order: Order) -> NDArray[np.float64]:
    """Values `p` of the pixels by the order in which regions `n p` are added; with `fewest` new pixels at least."""
    found, fresh = np.zeros_like(values), np.ones(values.size, bool)
    counts, sums = regions.sum(1), regions @ values
    first = sums / np.maximum(counts, 1)
    while (open_ := counts >= fewest).any():
        gains = sums / np.maximum(counts, 1)
        best = int(np.where(open_, gains if order == "grown" else first, -np.inf).argmax())
        new = np.flatnonzero(regions[best] & fresh)
        found[new], fresh[new] = gains[best], False
        counts, sums = counts - regions[:, new].sum(1), sums - regions[:, new] @ values[new]
    if fresh.any():
        found[fresh] = values[fresh].mean()
    return found


def _area(pixels: Pixels) -> float:
    """How large a picture is, in parts of the one that the authors' lengths are for."""
    return pixels.shape[-2] * pixels.shape[-1] / _SIDE**2
