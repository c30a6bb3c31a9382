"""Occlusion sensitivity: hide a window, watch the score, move the window on.

    value(window) = p(x) − p(x with the window filled)        score=drop
                    1 − p(x with the window filled)           score=complement
                    s(x) − s(x with the window filled)        score=logit
    map(pixel)    = mean of the values of the windows that cover it

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2. The last window of a
row or column is cut off at the border. With `edge`, windows fade as under a Gaussian of so many pixels (as MONAI's
do), and the mean is weighted by how much a window hides the pixel. The same passes tell which class wins under every
window: the *label map*, in the result's arrays as `labels` (with `probabilities` and `boxes`: top, left, bottom,
right). Guarantees: with windows of one pixel and `score=logit`, a linear network gets its own weights times (x −
fill). Costs one forward pass a window.

    sightline.explain(model, "dog.jpg", "occlusion(window=75, stride=75, fill=grey, score=complement)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.perturbation.soft_windows import SoftWindows
from sightline.errors import NotSupportedError
from sightline.images.fills import Fill, Grey
from sightline.images.regions import sliding_windows, spread
from sightline.models.heads import gives_probabilities
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks, Windows
from sightline.types import Doc, Pixels, Range, Scores


@dataclass(frozen=True, kw_only=True)
class Occlusion(Method):
    """What hiding each part of the picture does to the score."""

    window: Annotated[
        int | tuple[int, int], Range(1, 1 << 20), Doc("height and width of what is hidden, in pixels")
    ] = 32
    stride: Annotated[int | tuple[int, int], Range(1, 1 << 20), Doc("step of the window, in pixels")] = 16
    fill: Annotated[Fill, Doc("what hides")] = Grey()
    edge: Annotated[
        float, Range(0, 1 << 20), Doc("standard deviation of the windows' soft edge, in pixels; 0: hard")
    ] = 0.0
    score: Annotated[
        Literal["drop", "complement", "logit"], Doc("drop of the probability, 1 − p, or drop of the logit")
    ] = "drop"

    traits = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="1 F a window + 1 F",
        paper="Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014",
    )

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        height, width = pixels.shape[-2:]
        windows = sliding_windows(height, width, self.window, self.stride)
        given = pixels.to(passes.device)
        clean = passes.scores(pixels)
        self._check_head(passes)
        fill = self.fill.make(given, passes.classifier.values)
        soft = SoftWindows(windows.boxes, (height, width), self.edge) if self.edge else None
        hidden = passes.perturbed(given, Masks(soft, fill) if soft else Windows(windows.boxes, fill))
        values = self._values(passes, clean, hidden, target)
        grid = (windows.rows, windows.columns)
        probability = torch.stack([passes.probability(scores, target) for scores in hidden])
        return Maps(
            values=(soft.spread(values) if soft else spread(values, windows.boxes, height, width))[:, None],
            arrays={
                "labels": hidden.argmax(2).T.unflatten(1, grid),
                "probabilities": probability.T.unflatten(1, grid),
                "boxes": windows.boxes.expand(len(pixels), -1, -1),
            },
        )

    def _check_head(self, passes: Passes) -> None:
        if self.score == "logit" and gives_probabilities(passes.head):
            raise NotSupportedError(
                f"occlusion(score=logit) needs logits, but {passes.classifier.name!r} gives probabilities: "
                "use score=drop or score=complement"
            )

    def _values(self, passes: Passes, clean: Scores, hidden: Scores, target: Target) -> torch.Tensor:
        """`n b`, the value of every window."""
        if self.score == "logit":
            return target.score(clean) - torch.stack([target.score(scores) for scores in hidden])
        probability = torch.stack([passes.probability(scores, target) for scores in hidden])
        return 1 - probability if self.score == "complement" else passes.probability(clean, target) - probability
