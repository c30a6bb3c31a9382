"""What is judged: a map with the pixels it explains, from an `Attribution` or from any other tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution, Explained
from sightline.errors import NonFiniteError, TargetError, UsageError
from sightline.images.arrays import is_tensor
from sightline.images.frame import Frame
from sightline.models.classifier import Classifier
from sightline.models.intake import prepare
from sightline.models.targets import Target, Wanted, resolve
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.spec import has_field, with_fields
from sightline.types import Pixels, Scores

_SAME = {"float32": 0.01, "fast": 0.1}  # how far two scores of one network may lie apart, relative to max(1, |score|)


@dataclass(frozen=True, eq=False, kw_only=True)
class About:
    """What is known of a map once the network was asked: its target, a line of text, and what to warn of."""

    target: Target
    text: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """One map to be judged.

    Attributes:
        name: the picture, and the method if it is known.
        pixels: `1 c h w`, what the network was given.
        frame: where the network's input lies in the picture.
        map: `h w` float32, in the frame of the input.
        picture_map: `H W` float32, in the frame of the picture.
        wanted: the target, as explained by a method or in the user's words.
        precision: of the passes that gave `wanted` its score.
        method: what made the map, with the layer that it looked at; None for a map of another tool.
        warnings: what must be known of how the map was taken.
    """

    name: str
    pixels: Pixels
    frame: Frame
    map: NDArray[np.float32]
    picture_map: NDArray[np.float32]
    wanted: Explained | Wanted
    precision: Precision = "float32"
    method: Method | None = None
    warnings: tuple[str, ...] = ()

    @property
    def needs_scores(self) -> bool:
        """Whether the target is only known when the network was asked."""
        return not isinstance(self.wanted, Explained)

    def about(self, passes: Passes, scores: Scores | None) -> About:
        """The target, and what the clean scores `1 k` say of the map; None where the network was not asked.

        Raises:
            TargetError: the network has no such class, or the words mean several targets.
        """
        if not isinstance(self.wanted, Explained):
            assert scores is not None
            targets = resolve(self.wanted, scores, passes.classifier.labels)
            if len(targets) != 1:
                raise TargetError(f"a map explains one target, {self.wanted!r} means {len(targets)}: give one")
            label = " vs ".join(passes.classifier.label(index) for index in _classes(targets[0]))
            return About(target=targets[0], text=f"{self.name}: {label}")
        target = Target.of(self.wanted.index, 1, self.wanted.against)
        warnings = () if scores is None else self._strange(passes, scores, target)
        return About(target=target, text=f"{self.name} of {self.wanted.label}", warnings=warnings)

    def _strange(self, passes: Passes, scores: Scores, target: Target) -> tuple[str, ...]:
        """Tell a network that is not the one that made the map, by its score for the target."""
        assert isinstance(self.wanted, Explained)
        if max(_classes(target)) >= scores.shape[1]:
            raise TargetError(
                f"the map explains class {max(_classes(target))}, and {passes.classifier.name} has classes 0 to "
                f"{scores.shape[1] - 1}: judge a map with the network that it explains"
            )
        now, then = float(target.score(scores)), self.wanted.score
        allowed = max(_SAME[self.precision], _SAME[passes.precision]) * max(1.0, abs(then))
        if abs(now - then) <= allowed:
            return ()
        return (
            f"this network scores {self.wanted.label} {now:.4g}, and the one that made the map {then:.4g}: they are "
            "not the same network",
        )


def of_attribution(given: Attribution) -> Subject:
    """The map that `explain` made."""
    return Subject(
        name=f"{given.picture.name}: {given.method}",
        pixels=given.pixels,
        frame=given.frame,
        map=given.map,
        picture_map=given.picture_map,
        wanted=given.target,
        precision=cast(Precision, given.origin.precision),
        method=_at_its_layer(given.method, given.layer),
    )


def _at_its_layer(method: Method, layer: str | None) -> Method:
    """The method, told where it looked: in another network, or on other pixels, it would choose anew."""
    if layer is None:
        return method
    if has_field(method, "layers"):
        return with_fields(method, layers=tuple(layer.split(", ")))
    return with_fields(method, layer=layer) if has_field(method, "layer") else method


def of_array(given: Any, picture: Any, target: Any, classifier: Classifier, place: int) -> Subject:
    """The map of another tool.

    Raises:
        UsageError: no picture or no target; not `h w`, or of neither the input's nor the picture's size.
        PictureError: the picture cannot be read.
    """
    if not isinstance(given, np.ndarray) and not is_tensor(given):
        raise UsageError(f"what is judged is an Attribution or a map as an array h w, got {type(given).__name__}")
    for word, value, example in (("picture", picture, "'dog.jpg'"), ("target", target, "207")):
        if value is None:
            raise UsageError(f"a map without its Attribution needs {word}=, such as {word}={example}")
    ready = prepare(picture, place, classifier)
    frame, values = ready.frame, _as_map(given)
    is_input, is_picture = values.shape == frame.input, values.shape == frame.picture
    if not is_input and not is_picture:
        raise UsageError(
            f"a map of {_size(values.shape)} came: it must have the size of the network's input, {_size(frame.input)}, "
            f"or of the picture, {_size(frame.picture)} (height × width)"
            + ("; it would fit when it is transposed" if values.shape[::-1] in (frame.input, frame.picture) else "")
        )
    warnings = ready.warnings
    if is_input and is_picture and frame != Frame.whole(*frame.picture):
        warnings += (
            "the network's input has the picture's size but shows another part of it: the map was taken as the input's",
        )
    if not is_input and values[~frame.seen()].any():
        warnings += ("parts of the map lie where the network was not shown the picture: they were left out",)
    return Subject(
        name=f"{ready.picture.name}, map {place + 1}",
        pixels=ready.pixels,
        frame=frame,
        map=values if is_input else frame.from_picture(values),
        picture_map=frame.to_picture(values) if is_input else np.where(frame.seen(), values, np.float32(0)),
        wanted=target,
        warnings=warnings,
    )


def _as_map(given: Any) -> NDArray[np.float32]:
    values = given.detach().float().cpu().numpy() if is_tensor(given) else np.asarray(given)
    if values.ndim != 2:
        raise UsageError(
            f"a map is h w, got {_size(values.shape)}: sum over the channels, and give several maps as a list"
        )
    if values.dtype.kind not in "fiub":
        raise UsageError(f"a map holds real numbers, got {values.dtype}")
    if not np.isfinite(values).all():
        raise NonFiniteError("the map holds NaN or infinity and cannot be judged")
    return np.ascontiguousarray(values, dtype=np.float32)


def _classes(target: Target) -> list[int]:
    return [int(target.index[0]), *([] if target.against is None else [int(target.against[0])])]


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
