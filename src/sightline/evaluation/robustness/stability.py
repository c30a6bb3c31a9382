"""Stability: does the map follow where the picture changes in a way that no person would mind?

    value = mean over the changes g of similarity(map(g x), g map(x))

The changes: one pixel `down` and one `right` (the map must move with the picture; the row and the column that come in
repeat the edge and do not count), a little `brighter` and `darker` (5 % of the range, cut off where that ends), and
`jpeg` (the picture as the network sees it, saved with quality 90). J. Crabbé and M. van der Schaar, "Evaluating the
Robustness of Interpretability Methods through Explanation Invariance and Equivariance", NeurIPS 2023, equations 2 and
3; they take the cosine (`similarity=cosine`), which for maps without negative values is high for any two of them, so
the default is the correlation of ranks. A network with strides is itself not equivariant: what its score does stands in
the details (`score down` …, its change as a part of the largest score), and a map that moves much where the score does
not is what to look for. Guarantees: at most 1, which is a map that follows exactly. A map that never changes follows
brightness best, so read it beside a metric of faithfulness. Costs the method's passes six times, and 5 F.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "stability(changes=shift)")
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from sightline.errors import NotSupportedError
from sightline.evaluation.again import Given, clean_map, maps_of
from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.similarity import Similarity, SimilarityField, similarity
from sightline.images.values import ValueRange
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

_CHANGES = {"shift": ("down", "right"), "brightness": ("brighter", "darker"), "jpeg": ("jpeg",)}
_BRIGHTNESS, _QUALITY = 0.05, 90
_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, kw_only=True)
class Stability(Metric):
    """How well the map follows harmless changes of the picture."""

    changes: Annotated[Literal["all", "shift", "brightness", "jpeg"], Doc("which changes are tried")] = "all"
    similarity: SimilarityField = "spearman"

    traits = MetricTraits(
        family="robustness",
        better="higher",
        range="-1 to 1",
        cost="the method's, a change and once more",
        paper="Crabbé, van der Schaar, Evaluating the Robustness of Interpretability Methods through Explanation "
        "Invariance and Equivariance, NeurIPS 2023",
        needs_method=True,
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        kinds = list(_CHANGES) if self.changes == "all" else [self.changes]
        names = [name for kind in kinds for name in _CHANGES[kind]]
        versions = torch.cat([_changed(question.pixels, name, passes.classifier.values) for name in names])
        own, warnings = clean_map(passes, question)
        maps = maps_of(passes, question, Given(versions)).numpy()
        alike = {
            name: _followed(own.numpy(), map, name, self.similarity) for name, map in zip(names, maps, strict=True)
        }
        clean, scores = passes.scores(question.pixels), passes.scores(versions)
        moved = question.target.tiled(len(names)).score(scores) - question.target.score(clean)
        moved = moved.abs() / clean.abs().max().clamp_min(1e-30)
        told = {f"score {name}": float(change) for name, change in zip(names, moved, strict=True)}
        return Value(value=float(np.mean(list(alike.values()))), details={**alike, **told}, warnings=warnings)


def _changed(pixels: Pixels, name: str, values: ValueRange) -> Pixels:
    """The picture, `1 c h w`, after a harmless change."""
    low, high, _ = values.like(pixels)
    if name == "down":
        return functional.pad(pixels, (0, 0, 1, 0), mode="replicate")[:, :, :-1]
    if name == "right":
        return functional.pad(pixels, (1, 0, 0, 0), mode="replicate")[..., :-1]
    if name == "jpeg":
        return low + (high - low) * _saved((pixels - low) / (high - low))
    step = (_BRIGHTNESS if name == "brighter" else -_BRIGHTNESS) * (high - low)
    return (pixels + step).minimum(torch.maximum(high, pixels)).maximum(torch.minimum(low, pixels))


def _saved(shares: Pixels) -> Pixels:
    """A picture of values 0 … 1 saved as JPEG and read again.

    Raises:
        NotSupportedError: it is neither grey nor of three colours.
    """
    channels = shares.shape[1]
    if channels not in _MODES:
        raise NotSupportedError(
            f"JPEG holds pictures of 1 or 3 channels, and these have {channels}: take stability(changes=shift)"
        )
    whole = (shares[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(whole[..., 0] if channels == 1 else whole, _MODES[channels]).save(file, "JPEG", quality=_QUALITY)
    read = np.asarray(Image.open(file), np.float32).reshape(whole.shape) / 255
    return torch.from_numpy(read).permute(2, 0, 1)[None].to(shares)


def _followed(own: np.ndarray, map: np.ndarray, name: str, kind: Similarity) -> float:
    """How alike the map of the changed picture is to the changed map, where both tell of the same."""
    if name == "down":
        return similarity(own[:-1], map[1:], kind)
    if name == "right":
        return similarity(own[:, :-1], map[:, 1:], kind)
    return similarity(own, map, kind)
