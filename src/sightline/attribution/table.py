"""Every method, in the order of the story: the table of contents of this room."""

from __future__ import annotations

from sightline.attribution.activation.cam import Cam
from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.base import Method
from sightline.attribution.gradient.gradient import Gradient
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.attribution.gradient.smooth_grad import SmoothGrad
from sightline.attribution.perturbation.occlusion import Occlusion
from sightline.spec import Catalogue

METHODS: Catalogue[Method] = Catalogue(
    "method",
    Method,  # type: ignore[type-abstract]
    [Occlusion, Gradient, IntegratedGradients, SmoothGrad, Cam, GradCam],
)
