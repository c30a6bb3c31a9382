"""Zeiler-Fergus study of one picture: what hiding each part does to the class, to the winner and to a feature map.

    occlusion map         p(x) − p(x with the window hidden), the map of this result
    probabilities         p(x with the window hidden)                                     figure 7(d)
    labels                the class that wins with the window hidden                      figure 7(e)
    activity              Σ of the strongest feature map's positive activations, hidden   figure 7(b)
    projection            that feature map's largest activation through the deconvnet     figure 7(c)

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, sections 2.1 and 4.2. The strongest
feature map is the one with the largest total activity in the picture as it is. All but the map are in the result's
arrays (with `boxes`: top, left, bottom, right; `clean_activity`, `feature_map`), and drawn as one figure by
`sightline.figure(result, kind="zeiler-fergus")`. The deconvnet wants ReLUs; other networks are refused by name. Costs
one forward pass a window, and two more forward and one backward pass.

    sightline.explain(model, "dog.jpg", "zeiler-fergus(window=48, stride=16, layer=layer4)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits, Wants
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.perturbation.game import Hiding
from sightline.attribution.perturbation.occlusion import Occlusion, Stride, Window
from sightline.images.fills import Grey
from sightline.models.heads import two_sided
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class ZeilerFergus(Method):
    """What hiding each part of the picture does to the class, to the winner and to the strongest feature map."""

    window: Window = 48
    stride: Stride = 16
    fill: Hiding = Grey()
    layer: Annotated[str | None, Doc("where the feature maps are; chosen and reported when left out")] = None

    traits = Traits(
        family="combined",
        needs=Needs.LAYER,
        cost="1 F a window + 2 F + 1 B",
        paper="Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014",
        linear=False,
    )

    def wants(self) -> Wants:
        return Wants(layers=(self.layer,))

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        hidden = Occlusion(window=self.window, stride=self.stride, fill=self.fill).foresee(passes, pixels, target)
        return hidden.and_(forward=1, backward=1, clean=1, untold=int(self.layer is None))

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        view = passes.layer(pixels, self.layer if self.layer is not None else passes.classifier.layer, None)
        clean = view.activations.clamp(min=0).sum((2, 3))
        strongest = clean.argmax(1)
        # First what may be refused, then what takes long.
        projection = projection_of(passes, pixels, view, strongest)
        occlusion = Occlusion(window=self.window, stride=self.stride, fill=self.fill)
        with passes.feature_maps(view.layer, "total-and-scores") as units:
            answers = units.perturbed(pixels, occlusion.windows(passes, pixels))
        totals, scores = answers.tensor_split([clean.shape[1]], 2)
        activity = totals.gather(2, strongest.expand(len(totals), -1)[..., None])[..., 0]
        scores = torch.stack([two_sided(one, passes.head) for one in scores])
        hidden = occlusion.found(passes, pixels, target, passes.scores(pixels), scores)
        grid = hidden.arrays["labels"].shape[1:]
        return Maps(
            values=hidden.values,
            layer=view.layer.name,
            arrays={
                **hidden.arrays,
                "activity": activity.T.unflatten(1, grid),
                "clean_activity": clean.gather(1, strongest[:, None])[:, 0],
                "feature_map": strongest,
                "projection": projection,
            },
        )


def projection_of(passes: Passes, pixels: Pixels, view: LayerView, strongest: torch.Tensor) -> torch.Tensor:
    """`b c h w`: all other activations set to zero, and what is left run backwards."""
    peak = view.activations.flatten(2).amax(2).gather(1, strongest[:, None])
    with passes.feature_maps(view.layer, "peak") as units:
        return peak[..., None, None] * units.gradients(pixels, Target(strongest), rule="deconvnet")
