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
from typing import Annotated, Literal, TypeAlias

import torch

from sightline.attribution.base import Maps, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.perturbation.by_score import ByScore
from sightline.attribution.perturbation.game import Hiding
from sightline.attribution.perturbation.soft_windows import SoftWindows
from sightline.errors import NotSupportedError
from sightline.images.fills import Grey
from sightline.images.regions import sliding_windows, spread
from sightline.models.heads import gives_probabilities
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks, Windows
from sightline.types import Doc, Pixels, Range, Scores

Window: TypeAlias = Annotated[
    int | tuple[int, int], Range(1, 1 << 20), Doc("height and width of what is hidden, in pixels")
]
Stride: TypeAlias = Annotated[int | tuple[int, int], Range(1, 1 << 20), Doc("step of the window, in pixels")]


@dataclass(frozen=True, kw_only=True)
class Occlusion(ByScore):
    """What hiding each part of the picture does to the score."""

    window: Window = 32
    stride: Stride = 16
    fill: Hiding = Grey()
    edge: Annotated[
        float, Range(0, 1 << 20), Doc("standard deviation of the windows' soft edge, in pixels; 0: hard")
    ] = 0.0
    score: Annotated[
        Literal["drop", "complement", "logit"], Doc("drop of the probability, 1 − p, or drop of the logit")
    ] = "drop"

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="1 F a window + 1 F",
        paper="Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014",
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=len(self.windows(passes, pixels.to(passes.device))))

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        clean = passes.scores(pixels)
        check_head(self.score, passes)
        hidden = passes.perturbed(given, self.windows(passes, given))
        return self.found(passes, given, target, clean, hidden)

    def windows(self, passes: Passes, given: Pixels) -> Masks | Windows:
        """The pictures with each window hidden, in rows from the top left."""
        size = (given.shape[-2], given.shape[-1])
        boxes = sliding_windows(*size, self.window, self.stride).boxes
        fill = self.fill.make(given, passes.classifier.values)
        return Masks(SoftWindows(boxes, size, self.edge), fill) if self.edge else Windows(boxes, fill)

    def found(self, passes: Passes, pixels: Pixels, target: Target, clean: Scores, hidden: Scores) -> Maps:
        """The maps from the scores with nothing hidden, `b k`, and with each window hidden, `n b k`."""
        height, width = pixels.shape[-2:]
        windows = sliding_windows(height, width, self.window, self.stride)
        values = worth(self.score, passes, clean, hidden, target)
        soft = SoftWindows(windows.boxes, (height, width), self.edge) if self.edge else None
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


def worth(score: str, passes: Passes, clean: Scores, hidden: Scores, target: Target) -> torch.Tensor:
    """What every window is worth, `n b`."""
    if score == "logit":
        return target.score(clean) - torch.stack([target.score(scores) for scores in hidden])
    probability = torch.stack([passes.probability(scores, target) for scores in hidden])
    return 1 - probability if score == "complement" else passes.probability(clean, target) - probability


def check_head(score: str, passes: Passes) -> None:
    """Refuse a drop of logits of a network that gives none."""
    if score == "logit" and gives_probabilities(passes.head):
        raise NotSupportedError(
            f"occlusion(score=logit) needs logits, but {passes.classifier.name!r} gives probabilities: "
            "use score=drop or score=complement"
        )
