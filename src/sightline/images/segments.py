"""Regions: a picture cut into parts that are hidden, shown or judged as one, shared by methods and metrics.

    grid          `rows` × `columns` rectangles whose sides differ by one pixel at most
    slic          superpixels of even size       (Achanta et al., "SLIC Superpixels", IEEE TPAMI 34(11), 2012)
    felzenszwalb  parts between strong edges     (Felzenszwalb, Huttenlocher, IJCV 59(2), 2004)
    quickshift    modes of colour and place      (Vedaldi, Soatto, ECCV 2008; what LIME's own code cuts with)
    from-file     your own: an `.npy` of whole numbers `h w`, or an image in which every colour is a region

A region is a whole number at every pixel, from 0 without gaps. All but the grid and the file look at the picture, each
picture by itself, and need scikit-image (`pip install 'sightline[regions]'`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import MissingExtraError, UsageError
from sightline.images.values import ValueRange
from sightline.spec import Catalogue, Named
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class Regions(Named):
    """How a picture is cut into parts."""

    @abstractmethod
    def cut(self, picture: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
        """Whole numbers `h w` for one picture `h w 3` from 0 (black) to 1 (white)."""

    def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
        """The regions of each of `pixels` (`b c h w`, network units): int64 `b h w`, from 0 without gaps.

        Raises:
            MissingExtraError: superpixels without scikit-image.
            UsageError: a file that cannot be read, or of another size than the network's input.
        """
        low, high, _ = values.like(pixels)
        seen = ((pixels - low) / (high - low)).clamp(0, 1).double()
        if seen.shape[1] != 3:  # superpixels compare colours as an eye does: other channels are seen as one grey
            seen = seen.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        shown = seen.permute(0, 2, 3, 1).cpu().numpy()
        cut = [np.unique(self.cut(picture), return_inverse=True)[1].reshape(picture.shape[:2]) for picture in shown]
        return torch.from_numpy(np.stack(cut)).to(pixels.device, torch.int64)


@dataclass(frozen=True, kw_only=True)
class Grid(Regions):
    """Rectangles of equal size; at most one a pixel."""

    rows: Annotated[int, Range(1, 1 << 12), Doc("rectangles from top to bottom")] = 7
    columns: Annotated[int, Range(1, 1 << 12), Doc("rectangles from left to right")] = 7

    def cut(self, picture: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
        height, width = picture.shape[:2]
        rows, columns = min(self.rows, height), min(self.columns, width)
        # The box that starts at ⌊k·size/n⌋ is number k: the same rule as `images.regions.grid`.
        down = ((np.arange(height) + 1) * rows - 1) // height
        across = ((np.arange(width) + 1) * columns - 1) // width
        return down[:, None] * columns + across[None, :]


@dataclass(frozen=True, kw_only=True)
class Slic(Regions):
    """Superpixels of even size."""

    segments: Annotated[int, Range(2, 1 << 16), Doc("about how many")] = 50
    compactness: Annotated[float, Range(1e-4, 1e4), Doc("how much nearness counts against colour")] = 10.0
    sigma: Annotated[float, Range(0, 100), Doc("blur before the cut, in pixels")] = 1.0

    def cut(self, picture: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
        return _segmentation("slic").slic(
            picture, self.segments, self.compactness, sigma=self.sigma, start_label=0, channel_axis=-1
        )


@dataclass(frozen=True, kw_only=True)
class Felzenszwalb(Regions):
    """Parts between strong edges, of any size."""

    scale: Annotated[float, Range(1e-3, 1e6), Doc("larger gives larger parts")] = 250.0
    sigma: Annotated[float, Range(0, 100), Doc("blur before the cut, in pixels")] = 0.8
    smallest: Annotated[int, Range(1, 1 << 20), Doc("pixels of the smallest part")] = 150

    def cut(self, picture: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
        return _segmentation("felzenszwalb").felzenszwalb(
            picture, self.scale, self.sigma, self.smallest, channel_axis=-1
        )


@dataclass(frozen=True, kw_only=True)
class Quickshift(Regions):
    """Parts around the modes of colour and place; its defaults are those of LIME's own code."""

    kernel: Annotated[float, Range(0.5, 1000), Doc("width of the density's kernel, in pixels")] = 4.0
    distance: Annotated[float, Range(0.5, 1e6), Doc("how far modes may be joined")] = 200.0
    ratio: Annotated[float, Range(0, 1), Doc("how much colour counts against nearness")] = 0.2

    def cut(self, picture: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
        return _segmentation("quickshift").quickshift(
            picture, kernel_size=self.kernel, max_dist=self.distance, ratio=self.ratio, rng=0, channel_axis=-1
        )


@dataclass(frozen=True, kw_only=True)
class FromFile(Regions):
    """Your own regions, in the frame of the network's input (what the method sees, after resize and crop)."""

    path: Annotated[str, Doc("an .npy of whole numbers, or an image in which every colour is a region")] = ""

    def cut(self, picture: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
        regions = _read(Path(self.path))
        if regions.shape != picture.shape[:2]:
            have, want = ("×".join(map(str, shape)) for shape in (regions.shape, picture.shape[:2]))
            raise UsageError(
                f"{self.path}: regions of {have} for a network's input of {want}: draw them on what the network sees "
                "(`result.pixels`), one region at every pixel"
            )
        return regions


REGIONS: Catalogue[Regions] = Catalogue(
    "regions",
    Regions,  # type: ignore[type-abstract]
    (Grid, Slic, Felzenszwalb, Quickshift, FromFile),
)


def _segmentation(name: str) -> Any:
    """scikit-image's segmentation, imported only where it is used."""
    try:
        from skimage import segmentation
    except ImportError:
        raise MissingExtraError("scikit-image", "regions", f"regions={name} (or use regions=grid)") from None
    return segmentation


_NUMBERS = ("1", "L", "P", "I")
"""Colour modes of one number a pixel, which is the region's."""


def _read(path: Path) -> NDArray[np.integer[Any]]:
    """The regions of a file, `h w`."""
    try:
        if path.suffix.lower() == ".npy":
            regions = np.load(path, allow_pickle=False)
            if not np.issubdtype(regions.dtype, np.integer) and regions.dtype != bool:
                raise UsageError(f"{path}: regions are whole numbers, got {regions.dtype}")
            return regions.astype(np.int64)
        with Image.open(path) as image:
            if image.mode in _NUMBERS or image.mode.startswith("I;16"):
                return np.asarray(image).astype(np.int64)  # in RGB, numbers above 255 would all be one
            colours = np.asarray(image.convert("RGB"), dtype=np.int64)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"regions cannot be read from {str(path)!r}: {error}") from None
    return colours @ np.array([1 << 16, 1 << 8, 1])
