"""What hides a part of a picture, or stands for "nothing there": shared by methods and metrics.

A fill makes a whole picture, in the network's units, from which the hidden part is taken; occlusion pastes a window of
it, integrated gradients start at it, deletion ends at it. The fills and their definitions are those of P. Sturmfels,
S. Lundberg and S.-I. Lee, "Visualizing the Impact of Feature Attribution Baselines", Distill 2020,
doi 10.23915/distill.00022, with r = high − low the range of the network's input:

    grey          the middle of the range                (Zeiler & Fergus, ECCV 2014, cover with grey)
    black, white  the low and the high end of the range
    mean          the normalisation's mean colour: 0 in the network's units (grey where there is no normalisation)
    blur          the picture under a Gaussian of `sigma` pixels, mirrored at its edges
    rise-blur     the picture under RISE's own kernel: 11 pixels wide, zeros beyond the edges (for insertion curves)
    igos-blur     the picture under I-GOS's own kernel: 51 pixels wide and nearly flat, mirrored at its edges
    uniform       every value drawn from the whole range
    gaussian      the picture plus noise of standard deviation `sigma`·r, clipped to the range
    max-distance  for every value the end of the range that is farther from it

Grey in the picture is not 0 in the network's units: 0 is the mean colour. Random fills draw one pattern from their seed
and use it for every picture of a batch, so that a map does not depend on a picture's batch mates.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch

from sightline.images.values import ValueRange
from sightline.spec import Catalogue, Named
from sightline.types import Doc, Range

Seed = Annotated[int, Range(0, 2**63 - 1), Doc("seed of the random pattern")]


@dataclass(frozen=True, kw_only=True)
class Fill(Named):
    """What hides a part of a picture."""

    @abstractmethod
    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        """A filled picture for each of `pixels` (`b c h w`), of the same shape, type and device, in network units."""


@dataclass(frozen=True, kw_only=True)
class Grey(Fill):
    """The middle of the range."""

    aliases: ClassVar[tuple[str, ...]] = ("gray",)

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        low, high, _ = values.like(pixels)
        return ((low + high) / 2).expand_as(pixels).clone()


@dataclass(frozen=True, kw_only=True)
class Black(Fill):
    """The low end of the range."""

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        return values.like(pixels)[0].expand_as(pixels).clone()


@dataclass(frozen=True, kw_only=True)
class White(Fill):
    """The high end of the range."""

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        return values.like(pixels)[1].expand_as(pixels).clone()


@dataclass(frozen=True, kw_only=True)
class Mean(Fill):
    """The mean colour of the normalisation."""

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        return values.like(pixels)[2].expand_as(pixels).clone()


@dataclass(frozen=True, kw_only=True)
class Blur(Fill):
    """The picture itself, blurred: colours stay, shapes go."""

    sigma: Annotated[float, Range(0.1, 1000), Doc("standard deviation of the Gaussian in pixels of the input")] = 10.0

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        values.like(pixels)
        return blurred(pixels, self.sigma)


@dataclass(frozen=True, kw_only=True)
class RiseBlur(Fill):
    """The blur that RISE's insertion starts from: an 11-pixel kernel, and zeros beyond the picture's edges.

    V. Petsiuk, A. Das and K. Saenko, "RISE", BMVC 2018, authors' code: the kernel is a Gaussian of σ = 5 mirrored into
    11 × 11 pixels, which is nearly flat, so more of the picture is left than `blur(sigma=5)` leaves; zeros in the
    network's units (the mean colour, black where there is no normalisation) come in from the edges.
    """

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        values.like(pixels)
        smooth = pixels if pixels.dtype == torch.float64 else pixels.to(torch.float32)
        kernel = gaussian_matrix(11, 5.0)[:, 5]
        rows, columns = (_band_matrix(size, kernel).to(smooth) for size in pixels.shape[2:])
        return (rows @ smooth @ columns.T).to(pixels.dtype)


@dataclass(frozen=True, kw_only=True)
class IgosBlur(Fill):
    """The blur that I-GOS and its followers start from: a Gaussian so wide for its kernel that it is nearly a box.

    Z. Qi, S. Khorram and F. Li, "Visualizing Deep Networks by Optimizing with Integrated Gradients", AAAI 2020,
    authors' code: a kernel 51 pixels wide with σ = 50, edges mirrored without repeating the edge (d c b | a | b c d);
    they take 151 for pictures of 500 pixels and more, 201 from 800 on, always with σ = width − 1.
    """

    width: Annotated[int, Range(3, 1001), Doc("of the kernel in pixels; an even one is made odd")] = 51

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        values.like(pixels)
        smooth = pixels if pixels.dtype == torch.float64 else pixels.to(torch.float32)
        radius = self.width // 2
        kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / (2 * radius)) ** 2)
        rows, columns = (_reflected_matrix(size, kernel / kernel.sum()).to(smooth) for size in pixels.shape[2:])
        return (rows @ smooth @ columns.T).to(pixels.dtype)


@dataclass(frozen=True, kw_only=True)
class Uniform(Fill):
    """Noise over the whole range: one pattern for all pictures of a batch."""

    seed: Seed = 0

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        low, high, _ = values.like(pixels)
        pattern = torch.rand(pixels.shape[1:], generator=torch.Generator().manual_seed(self.seed))
        return low + (high - low) * pattern.to(pixels).expand_as(pixels)


@dataclass(frozen=True, kw_only=True)
class Gaussian(Fill):
    """The picture with noise: one pattern for all pictures of a batch."""

    sigma: Annotated[float, Range(0, 100), Doc("standard deviation of the noise, as a part of the range")] = 0.2
    seed: Seed = 0

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        low, high, _ = values.like(pixels)
        pattern = torch.randn(pixels.shape[1:], generator=torch.Generator().manual_seed(self.seed))
        noisy = pixels + self.sigma * (high - low) * pattern.to(pixels)
        return torch.minimum(torch.maximum(noisy, low), high)


@dataclass(frozen=True, kw_only=True)
class MaxDistance(Fill):
    """For every value the end of the range farthest from it: nothing of the picture is left by chance."""

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        low, high, _ = values.like(pixels)
        return torch.where(pixels >= (low + high) / 2, low, high)


# mypy wants concrete classes for type[T]; a catalogue is told its abstract base on purpose
FILLS: Catalogue[Fill] = Catalogue(
    "fill",
    Fill,  # type: ignore[type-abstract]
    (Grey, Black, White, Mean, Blur, RiseBlur, IgosBlur, Uniform, Gaussian, MaxDistance),
)


def blurred(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    """Pictures `b c h w` under a Gaussian of `sigma` pixels, mirrored at their edges; 0 leaves them as they are."""
    smooth = pixels if pixels.dtype == torch.float64 else pixels.to(torch.float32)
    if sigma > 0:
        rows, columns = (gaussian_matrix(size, sigma).to(smooth) for size in pixels.shape[2:])
        smooth = rows @ smooth @ columns.T
    return smooth.to(pixels.dtype)


def gaussian_matrix(size: int, sigma: float) -> torch.Tensor:
    """The blur of one axis as a matrix `size size`: 4 σ wide, edges mirrored (d c b a | a b c d), as in SciPy.

    A matrix works for every size, also where the kernel is wider than the picture.
    """
    radius = math.floor(4 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.to(torch.float64) / sigma) ** 2)
    positions = (torch.arange(size)[:, None] + offsets) % (2 * size)
    mirrored = torch.where(positions < size, positions, 2 * size - 1 - positions)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, mirrored, (weights / weights.sum()).expand(size, -1).contiguous())


def _band_matrix(size: int, kernel: torch.Tensor) -> torch.Tensor:
    """The filter of one axis with a kernel of odd width as a matrix `size size`: zeros beyond the edges."""
    distance = torch.arange(size)[None, :] - torch.arange(size)[:, None] + len(kernel) // 2
    inside = (distance >= 0) & (distance < len(kernel))
    return torch.where(inside, kernel[distance.clamp(0, len(kernel) - 1)], 0.0)


def _reflected_matrix(size: int, kernel: torch.Tensor) -> torch.Tensor:
    """The filter of one axis with a kernel of odd width as a matrix `size size`: edges mirrored, not repeated."""
    radius, period = len(kernel) // 2, max(1, 2 * (size - 1))
    positions = (torch.arange(size)[:, None] + torch.arange(-radius, radius + 1)) % period
    mirrored = torch.where(positions < size, positions, period - positions)
    matrix = torch.zeros(size, size, dtype=kernel.dtype)
    return matrix.scatter_add_(1, mirrored, kernel.expand(size, -1).contiguous())
