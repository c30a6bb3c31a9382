"""Pictures on their way in: any source to a picture, prepared pixels, and the frame that leads back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.errors import UsageError
from sightline.images.frame import Frame
from sightline.images.load import Picture, is_prepared, load
from sightline.images.prepare import Preparation, as_pixels
from sightline.images.values import ValueRange
from sightline.models.classifier import Classifier

_OVERSHOOT = 0.5
"""How far noise, sharpening or an attack may take prepared input beyond black and white, in parts of that range."""

_MUCH = 0.3
"""Of a picture; photographs of usual shapes keep more of it in the centre crop of usual networks."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """One picture on its way: where it stood in the list, what a person sees, what the network sees."""

    place: int
    picture: Picture
    pixels: torch.Tensor
    frame: Frame
    warnings: tuple[str, ...]


def as_list(pictures: Any) -> tuple[list[Any], bool]:
    """The pictures as a list, and whether it was one picture."""
    if isinstance(pictures, list | tuple):
        return [one for part in pictures for one in as_list(part)[0]], False
    if isinstance(pictures, torch.Tensor | np.ndarray) and pictures.ndim == 4 and len(pictures) != 1:
        return list(pictures), False
    return [pictures], True


def prepare(source: Any, place: int, classifier: Classifier) -> Prepared:
    """One picture, read and made ready for the network.

    Raises:
        PictureError: it cannot be read.
        UsageError: prepared input of several pictures.
    """
    # A network without a pipeline of its own is shown the picture as a person sees it.
    preparation = classifier.preparation or Preparation(exif="apply")
    if is_prepared(source):
        pixels = as_pixels(source)
        if len(pixels) != 1:
            raise UsageError(
                f"prepared input of {len(pixels)} pictures came for one: give c h w, or a list of pictures"
            )
        picture, warnings = _picture_of(pixels, place, preparation), _range_warnings(pixels, classifier)
        return Prepared(place, picture, pixels, Frame.whole(*pixels.shape[-2:]), warnings)
    picture = load(source)
    pixels, frame = preparation.prepare(picture)
    notes = (
        []
        if classifier.preparation
        else ["no preparation was declared for this network: it was given RGB from 0 to 1 at the picture's own size"]
    )
    if classifier.preparation is not None and classifier.values.faint:
        black, white = (f"{float(value[0]):.3g}" for value in (classifier.values.low, classifier.values.high))
        notes.append(
            f"the network is shown hardly any picture: prepared so, black is {black} and white {white}; a mean and std "
            "of values from 0 to 255 go with scale 1 (0-255), those of values from 0 to 1 with scale 255 (0-1)"
        )
    if frame.share < _MUCH:
        notes.append(f"the network sees only {frame.share:.0%} of this picture: the rest was cut away")
    if picture.orientation != 1 and preparation.exif == "ignore":
        notes.append(
            f"the file is stored turned (EXIF orientation {picture.orientation}) and the network sees it as stored, as "
            "its own pipeline does; the picture is drawn upright"
        )
    return Prepared(place, picture, pixels, frame, tuple(notes))


def _picture_of(pixels: torch.Tensor, place: int, preparation: Preparation) -> Picture:
    """What prepared input looks like to a person: normalisation undone; other numbers of channels as their mean."""
    if pixels.shape[1] == len(preparation.mean):
        rgb = preparation.display(pixels)
    else:
        mean = pixels[0].float().mean(0)
        level = (mean - mean.amin()) / (mean.amax() - mean.amin()).clamp_min(torch.finfo(torch.float32).tiny)
        rgb = (level * 255).round().to(torch.uint8).cpu()[..., None].expand(-1, -1, 3).numpy().copy()
    # As an image, since an array 3 × w × 3 could be h w c as well as c h w.
    return dataclasses.replace(load(Image.fromarray(rgb)), name=f"tensor {place}", format="prepared")


def _range_warnings(pixels: torch.Tensor, classifier: Classifier) -> tuple[str, ...]:
    low, high = float(pixels.amin()), float(pixels.amax())
    if classifier.preparation is not None:
        return _unlike(low, high, classifier.values)
    if low < -1e-3 or high > 1 + 1e-3:
        return (
            f"no preparation was declared and the input runs from {low:.3g} to {high:.3g}: fills such as black and "
            "grey mean 0 and 0.5 all the same",
        )
    return ()


def _unlike(low: float, high: float, usual: ValueRange) -> tuple[str, ...]:
    """Words where prepared input lies far outside of what the network's own preparation could give."""
    black, white = float(usual.low.min()), float(usual.high.max())
    slack = _OVERSHOOT * (white - black)
    if black - slack <= low and high <= white + slack:
        return ()
    return (
        f"the input runs from {low:.3g} to {high:.3g}, and this network's own preparation gives {black:.3g} to "
        f"{white:.3g}: it was probably prepared for another network, or not at all",
    )
