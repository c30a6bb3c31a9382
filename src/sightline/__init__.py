"""Sightline shows why an image classifier decided as it did, and whether that answer can be trusted.

The public names; each is loaded when it is first used, so that `import sightline` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Attribution": "attribution.result",
    "Cam": "attribution.activation.cam",
    "Classifier": "models.classifier",
    "Comparison": "evaluation.comparison",
    "GradCam": "attribution.activation.grad_cam",
    "Gradient": "attribution.gradient.gradient",
    "IntegratedGradients": "attribution.gradient.integrated_gradients",
    "Judgement": "evaluation.result",
    "Method": "attribution.base",
    "Metric": "evaluation.base",
    "Occlusion": "attribution.perturbation.occlusion",
    "Passes": "passes.passes",
    "Plan": "runs.plan",
    "Preparation": "images.prepare",
    "SmoothGrad": "attribution.gradient.smooth_grad",
    "Style": "pictures.style",
    "Target": "models.targets",
    "compare": "runs.compare",
    "concepts": "runs.concepts",
    "evaluate": "evaluation.evaluate",
    "explain": "runs.explain",
    "figure": "reports.figure",
    "layers": "runs.layers",
    "load": "models.catalogue",
    "methods": "listing",
    "metrics": "listing",
    "plan": "runs.plan",
    "plant": "evaluation.planted",
    "remote": "models.remote",
    "wrap": "models.classifier",
}

if TYPE_CHECKING:
    from sightline.attribution.activation.cam import Cam
    from sightline.attribution.activation.grad_cam import GradCam
    from sightline.attribution.base import Method
    from sightline.attribution.gradient.gradient import Gradient
    from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
    from sightline.attribution.gradient.smooth_grad import SmoothGrad
    from sightline.attribution.perturbation.occlusion import Occlusion
    from sightline.attribution.result import Attribution
    from sightline.evaluation.base import Metric
    from sightline.evaluation.comparison import Comparison
    from sightline.evaluation.evaluate import evaluate
    from sightline.evaluation.planted import plant
    from sightline.evaluation.result import Judgement
    from sightline.images.prepare import Preparation
    from sightline.listing import methods, metrics
    from sightline.models.catalogue import load
    from sightline.models.classifier import Classifier, wrap
    from sightline.models.remote import remote
    from sightline.models.targets import Target
    from sightline.passes.passes import Passes
    from sightline.pictures.style import Style
    from sightline.reports.figure import figure
    from sightline.runs.compare import compare
    from sightline.runs.concepts import concepts
    from sightline.runs.explain import explain
    from sightline.runs.layers import layers
    from sightline.runs.plan import Plan, plan

__all__ = [
    "Attribution",
    "Cam",
    "Classifier",
    "Comparison",
    "GradCam",
    "Gradient",
    "IntegratedGradients",
    "Judgement",
    "Method",
    "Metric",
    "Occlusion",
    "Passes",
    "Plan",
    "Preparation",
    "SmoothGrad",
    "Style",
    "Target",
    "compare",
    "concepts",
    "evaluate",
    "explain",
    "figure",
    "layers",
    "load",
    "methods",
    "metrics",
    "plan",
    "plant",
    "remote",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    value = getattr(import_module(f"sightline.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
