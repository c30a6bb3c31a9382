"""Running Pillow's readers on bytes that may be hostile: their errors become `PictureError`, their warnings notes."""

from __future__ import annotations

import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from sightline.errors import PictureError

T = TypeVar("T")

# What Pillow's readers have been seen to raise on hostile bytes: a reader is not written against an enemy, so a wrong
# offset or count surfaces as whatever Python raises at that line. All of them mean "this picture cannot be read".
READER_ERRORS = (
    OSError,  # truncated data, broken streams, unidentified files
    ValueError,  # sizes and counts that make no sense; undecodable text; infinite values
    SyntaxError,  # "not a PNG file" and its like
    TypeError,  # fields of an unexpected type in TIFF and EXIF directories
    AttributeError,  # a part of the file that others rely on was missing
    LookupError,  # unknown keys and indices past the end
    ArithmeticError,  # resolutions of 0/0, sizes that overflow
    EOFError,  # frames that are not there
    RuntimeError,  # nested directories, and decoders written in C
    MemoryError,  # sizes that lie
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"RIFF")

# warnings.catch_warnings swaps process-wide state, and two threads inside it can leave it swapped for good.
_LOCK = threading.Lock()


def guarded(
    read: Callable[[], T], where: str, start: bytes = b"", formats: tuple[str, ...] = ()
) -> tuple[T, list[str]]:
    """What `read` returns, and the reader's warnings as notes.

    `start` are the first bytes of the file: they tell a broken picture from something that is no picture.

    Raises:
        PictureError: the reader raised, whatever it was.
    """
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = read()
        except PictureError:
            raise
        except READER_ERRORS as error:
            raise PictureError(_kind(error, start), where, _explain(error, start, formats)) from error
    words = dict.fromkeys(
        f"reader: {' '.join(str(warning.message).split())}"
        for warning in caught
        if not issubclass(warning.category, Image.DecompressionBombWarning)  # our own limit has decided already
    )
    return result, list(words)


def reason(error: BaseException) -> str:
    """The text of an error on one line, not longer than a reader wants."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return " ".join(str(strerror or error).split())[:200] or type(error).__name__


def _kind(error: BaseException, start: bytes) -> str:
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return "too-large"
    if isinstance(error, UnidentifiedImageError):
        return "corrupt" if start.startswith(_SIGNATURES) else "format"
    return "truncated" if isinstance(error, EOFError) or "truncated" in str(error).lower() else "corrupt"


def _explain(error: BaseException, start: bytes, formats: tuple[str, ...]) -> str:
    if isinstance(error, Image.DecompressionBombError):
        found = re.search(r"\d+", str(error))
        pixels = f"{int(found.group()):,}" if found else "too many"
        return f"{pixels} pixels are more than Pillow's own limit (PIL.Image.MAX_IMAGE_PIXELS)"
    if isinstance(error, UnidentifiedImageError):
        if start.startswith(_SIGNATURES):
            return "begins like a picture, but its header is broken or cut off"
        return f"is not a picture in a known format ({', '.join(formats)})"
    return f"cannot be decoded: {reason(error)}"
