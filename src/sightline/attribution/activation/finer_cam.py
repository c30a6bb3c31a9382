"""Finer-CAM: why this class and not those most like it.

    s = y_c − γ Σ_d ω_d y_d   over the T classes d whose scores lie nearest to y_c

Zhang et al., "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation", CVPR 2025. What a class
has in common with its neighbours cancels. Wraps any method that explains scores, `finer-cam(of=layer-cam)`; only what
is explained changes. γ = 0.6 and ω = 1/T, as in torch-cam; the authors' code has γ = 1 and weighs the classes by their
probabilities (`strength=1, weights=likely`), here taken as constants. A contrast says itself which class it is against:
with `target="A-vs-B"`, y_A − γ y_B. Guarantees: γ = 1 and one other class give the map of the contrast, γ = 0 that of
the class. Costs what the wrapped method costs.

    sightline.explain(model, "bird.jpg", "finer-cam(of=grad-cam, classes=3, strength=0.6)")
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.base import Maps, Method, Traits, Wants
from sightline.attribution.foreseen import Foreseen
from sightline.errors import SpecError
from sightline.models.targets import AgainstMixture, Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class FinerCam(Method):
    """The map of a class against those most like it."""

    of: Annotated[Method, Doc("the method whose target is changed")] = GradCam()
    classes: Annotated[int, Range(1, 10_000), Doc("how many of the nearest classes")] = 3
    strength: Annotated[float, Range(0, 10), Doc("how much of the others' mean score is taken off (γ)")] = 0.6
    weights: Annotated[Literal["equal", "likely"], Doc("the others alike, or by their probabilities")] = "equal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.of.traits.class_sensitive:
            raise SpecError(
                f"finer-cam changes which score is explained, and {self.of.name} asks for none: try of=layer-cam"
            )

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """The wrapped method's own."""
        return replace(self.of.traits, family="activation", paper="Zhang et al., Finer-CAM, CVPR 2025", complete=False)

    def wants(self) -> Wants:
        return self.of.wants()

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return self.of.foresee(passes, pixels, target).and_(clean=1)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        finer = AgainstMixture.similar(
            target, passes.scores(pixels), self.classes, self.strength, likely=self.weights == "likely"
        )
        return self.of.attribute(passes, pixels, finer)
