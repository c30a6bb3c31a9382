"""A preparation in one line of text, and back.

As in `resize 256, crop 224, rgb, mean 0.485 0.456 0.406, std 0.229 0.224 0.225`.

| words | meaning |
|---|---|
| `resize 256` | shortest side; `resize 256 x 320`: height × width, whatever the picture's proportions |
| `squash 224` | both sides, whatever the picture's proportions |
| `crop 224`, `centre 224` | the middle that is kept; `crop 224 x 200`: height × width |
| `bilinear`, `bicubic`, `nearest`, `lanczos`, … | how it is resized (bilinear) |
| `rgb`, `bgr`, `grey` | order of channels (rgb) |
| `0-1`, `0-255`, `-1-1` | what black and white become before the mean is taken (0-1); `scale 128` divides bytes |
| `mean …`, `std …` | one number, or one a channel in the order of channels, in units of the range |
| `upright`, `as stored` | whether a picture that is stored turned is turned (as stored) |
| `rounding floor`, `resizer torch` | details of Hugging Face's processors |

Caffe's networks: `resize 256, crop 224, bgr, 0-255, mean 103.939 116.779 123.68`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sightline.errors import UsageError, nearest

Fields = dict[str, Any]

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
_WORDS = ("resize", "squash", "crop", "centre", "mean", "std", "scale", "rounding", "resizer", "rgb", "bgr", "grey",
          "0-1", "0-255", "-1-1", "upright", "as stored", *INTERPOLATIONS)  # fmt: skip
_SAME = {"center": "centre", "gray": "grey", "center-crop": "centre", "standard": "std", "deviation": "std"}
_RANGES = {"0-1": 255.0, "0-255": 1.0, "-1-1": 127.5}


def fields_of(text: str) -> Fields:
    """The fields of `Preparation` that a line stands for.

    Raises:
        UsageError: a word that is not known, a number that is missing, or something said twice.
    """
    found: Fields = {}
    shifted = False
    for part in (part.strip().lower() for part in text.replace(";", ",").split(",")):
        if not part:
            continue
        fields = _read(part)
        shifted = shifted or part.replace(" ", "") in ("-1-1", "-1to1", "-1..1")
        if twice := sorted(set(fields) & set(found)):
            raise UsageError(f"preparation: {twice[0]} is said twice, the second time as {part!r}")
        found |= fields
    if not found:
        raise UsageError("preparation: nothing was said, as in 'resize 256, crop 224, rgb, mean …, std …'")
    return _whole(found, shifted)


def text_of(preparation: Any) -> str:
    """The line that stands for a preparation; `fields_of` gives its fields again."""
    parts = [_size("resize", preparation.resize), _size("crop", preparation.crop)]
    if preparation.interpolation != "bilinear":
        parts.append(preparation.interpolation)
    parts.append(preparation.channels)
    plain = all(value == 1 for value in (*preparation.mean, *preparation.std))
    ranges = {scale: word for word, scale in _RANGES.items() if word != "-1-1"}
    if preparation.scale == 127.5 and plain:
        parts.append("-1-1")
    else:
        parts.append(ranges.get(preparation.scale, f"scale {preparation.scale!r}"))
        parts += [
            _numbers(name, getattr(preparation, name), plain=rest) for name, rest in (("mean", 0.0), ("std", 1.0))
        ]
    parts.append("upright" if preparation.exif == "apply" else "")
    parts.append(f"rounding {preparation.rounding}" if preparation.rounding != "round" else "")
    parts.append(f"resizer {preparation.resizer}" if preparation.resizer != "pillow" else "")
    return ", ".join(part for part in parts if part)


def _whole(found: Fields, shifted: bool) -> Fields:
    """The fields with one mean and one deviation a channel."""
    count = 1 if found.get("channels") == "grey" else 3
    if shifted:
        if found.keys() & {"mean", "std"}:
            raise UsageError("preparation: -1-1 leaves no mean and std to take: say 0-1 or 0-255 beside them")
        found |= {"mean": (1.0,), "std": (1.0,)}
    for name, rest in (("mean", 0.0), ("std", 1.0)):
        values = found.get(name, (rest,))
        if len(values) not in (1, count):
            raise UsageError(f"preparation: {name} has {len(values)} numbers, expected {count} (or one for all)")
        found[name] = values * count if len(values) == 1 else values
    return found


def _read(part: str) -> Fields:
    joined = re.sub(r"\s*(?:to|\.\.|–|-)\s*(?=\d)", "-", part) if re.match(r"^-?\d", part) else part
    if joined in _RANGES:
        return {"scale": _RANGES[joined]}
    if part in ("upright", "as stored", "stored"):
        return {"exif": "apply" if part == "upright" else "ignore"}
    word, _, rest = part.partition(" ")
    word = _SAME.get(word, word)
    if word in ("rgb", "bgr", "grey") and not rest:
        return {"channels": word}
    if word in INTERPOLATIONS and not rest:
        return {"interpolation": word}
    if word in _READERS:
        return _READERS[word](part, rest)
    close = nearest(word, _WORDS)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known are {', '.join(_WORDS)}"
    raise UsageError(f"preparation: unknown {part!r}: {hint}")


def _read_size(field: str, *, square: bool) -> Callable[[str, str], Fields]:
    def read(part: str, rest: str) -> Fields:
        match = re.fullmatch(r"(?:to |crop )?(\d+)(?:\s*(?:x|×|by)\s*(\d+)|\s+(\d+))?", rest.strip())
        if match is None:
            raise UsageError(f"preparation: {part!r} needs a size, as in '{field} 224' or '{field} 224 x 200'")
        height, width = int(match[1]), match[2] or match[3]
        if width is not None:
            return {field: (height, int(width))}
        return {field: (height, height) if square else height}

    return read


def _read_numbers(field: str) -> Callable[[str, str], Fields]:
    def read(part: str, rest: str) -> Fields:
        try:
            values = tuple(float(word) for word in re.split(r"[\s/]+", rest.strip("()[] ")))
        except ValueError:
            raise UsageError(f"preparation: {part!r} needs numbers, as in '{field} 0.5 0.5 0.5'") from None
        return {field: values}

    return read


def _read_scale(part: str, rest: str) -> Fields:
    return {"scale": _read_numbers("scale")(part, rest)["scale"][0]}


_READERS: dict[str, Callable[[str, str], Fields]] = {
    "resize": _read_size("resize", square=False),
    "squash": _read_size("resize", square=True),
    "crop": _read_size("crop", square=True),
    "centre": _read_size("crop", square=True),
    "mean": _read_numbers("mean"),
    "std": _read_numbers("std"),
    "scale": _read_scale,
    "rounding": lambda _, rest: {"rounding": rest},
    "resizer": lambda _, rest: {"resizer": rest},
}


def _size(word: str, size: Any) -> str:
    if size is None:
        return ""
    if isinstance(size, int):
        return f"{word} {size}"
    if size[0] == size[1]:
        return f"{'squash' if word == 'resize' else word} {size[0]}"
    return f"{word} {size[0]} x {size[1]}"


def _numbers(name: str, values: tuple[float, ...], *, plain: float) -> str:
    if all(value == plain for value in values):
        return ""
    same = len(set(values)) == 1
    return f"{name} " + " ".join(f"{value!r}" for value in (values[:1] if same else values))
