"""Pictures of which few pixels are known, and how many bytes they hold: what the information curves share.

What is not known is interpolated linearly over the triangles between known pixels (Delaunay), the corners are always
known, and values are rounded to whole bytes, as in the code of XRAI's authors (`saliency.metrics.pic`). The
information of a picture is the size of its lossless WebP file.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import MissingExtraError, NotSupportedError

_AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def known_at_random(height: int, width: int, share: float, seed: int) -> NDArray[np.bool_]:
    """`h w`: the pixels that are known from the start, ⌊share · pixels⌋ of them."""
    known = np.zeros(height * width, bool)
    known[np.random.default_rng(seed).choice(known.size, int(known.size * share), replace=False)] = True
    return known.reshape(height, width)


def interpolated(picture: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture `h w c` with all but the known pixels interpolated."""
    known = known.copy()
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    if known.all():
        return picture
    corners = known & ~_inside(known)
    found = _linear()(np.argwhere(corners), picture[corners].astype(np.float64))(np.argwhere(~known))
    mean = picture.mean((0, 1))
    blurred = picture.copy()
    blurred[~known] = np.where(np.isnan(found), mean, found).round().astype(np.uint8)
    return blurred


def _inside(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Known pixels with eight known neighbours: no triangle over unknown ones has its corner there."""
    padded = np.pad(known, 1)
    height, width = known.shape
    around = [padded[1 + down : 1 + down + height, 1 + right : 1 + right + width] for down, right in _AROUND]
    return np.asarray(np.logical_and.reduce(around))


def interpolated_at_once(picture: NDArray[np.uint8], known: list[NDArray[np.bool_]]) -> list[NDArray[np.uint8]]:
    """The picture with several sets of known pixels."""
    with ThreadPoolExecutor() as workers:  # SciPy cuts triangles outside of Python's lock
        return list(workers.map(lambda one: interpolated(picture, one), known))


def sizes(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Bytes of the lossless WebP of each picture `h w c`, c 1 or 3."""
    if pictures[0].shape[2] not in (1, 3):
        raise NotSupportedError(
            f"the information of a picture is the size of its WebP file, which has 1 or 3 channels, not "
            f"{pictures[0].shape[2]}: use insertion or irof"
        )
    with ThreadPoolExecutor() as workers:  # Pillow encodes outside of Python's lock
        return np.array(list(workers.map(_webp_size, pictures)), np.float64)


def _webp_size(picture: NDArray[np.uint8]) -> int:
    buffer = io.BytesIO()
    shown = picture[:, :, 0] if picture.shape[2] == 1 else picture
    Image.fromarray(shown).save(buffer, format="webp", lossless=True, quality=100)
    return buffer.tell()


def _linear() -> Any:
    """SciPy's interpolator, imported only where it is used; scikit-image brings SciPy along."""
    try:
        from scipy.interpolate import LinearNDInterpolator
    except ImportError:
        raise MissingExtraError("SciPy", "regions", "pic (or use insertion)") from None
    return LinearNDInterpolator
