"""What pytorch-grad-cam is asked; `grad_cam_rows.py` says beside what, and how the maps are brought together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_grad_cam as pgc
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import base_cam
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from pytorch_grad_cam.feature_factorization.deep_feature_factorization import dff
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from parity.authors_cams import inside
from parity.injected import replaced
from parity.rows import Case, Make, quietly
from sightline.attribution.table import METHODS
from sightline.models.classifier import wrap
from sightline.passes.passes import Passes


def raw(maps: Any, _size: Any = None) -> NDArray[np.float32]:
    """In place of grad-cam's stretching and enlarging: maps as they are."""
    return np.asarray(maps, np.float32)


def as_shown(map: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Our map `h w` as grad-cam shows it."""
    low = scale_cam_image(map.relu().float().numpy()[None], tuple(theirs.shape[::-1]))
    return torch.from_numpy(scale_cam_image(low)[0]).double()


def asked(method: Any, case: Case, target: Callable[[int], Any] = ClassifierOutputTarget) -> torch.Tensor:
    """The peer's map for the case's class; the gradients that it leaves in the network are taken away."""
    try:
        found = method(input_tensor=case.pixels.clone(), targets=[target(case.target)])
    finally:
        case.network.zero_grad(set_to_none=True)
    return torch.from_numpy(np.array(found[0]))


def forgotten(kept: ActivationsAndGradients) -> None:
    """In place of grad-cam's own clearing, which fails on gradients that are views and then leaves hooks behind."""
    kept.gradients, kept.activations = [], []


def cam(name: str, *, target: Callable[[int], Any] = ClassifierOutputTarget) -> Make:
    """A method's raw map on the layer's cells."""

    def theirs(case: Case) -> torch.Tensor:
        with replaced((base_cam, "scale_cam_image", raw), (ActivationsAndGradients, "clear", forgotten)):
            method = getattr(pgc, name)(case.network, [case.module], case.grid if case.tokens else None)
            with method:
                return asked(method, case, target)

    return theirs


def displayed(name: str, *layers: str, **options: Any) -> Make:
    """A method's map as it comes out, from 0 to 1 at the pixels: at the case's layer, or joined over layers."""

    def theirs(case: Case) -> torch.Tensor:
        modules = [case.network.get_submodule(layer) for layer in layers] or [case.module]
        return asked(getattr(pgc, name)(case.network, modules, case.grid if case.tokens else None, **options), case)

    return theirs


def ablation(case: Case) -> torch.Tensor:
    """AblationCAM; it exchanges the layer in the network, so that it is given a copy."""
    twin = copy.deepcopy(case.network)
    layer, reshape = (AblationLayerVit(), case.grid) if case.tokens else (AblationLayer(), None)
    with replaced((base_cam, "scale_cam_image", raw)):
        method = pgc.AblationCAM(twin, [twin.get_submodule(case.layer)], reshape, layer)
        with method, torch.no_grad():
            return torch.from_numpy(method(case.pixels, targets=[ClassifierOutputTarget(case.target)])[0])


def score_on_cells(case: Case) -> torch.Tensor:
    """ScoreCAM with its masks enlarged cell on cell."""
    with replaced((nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear", align_corners=False))):
        return cam("ScoreCAM")(case)


def finer(case: Case) -> torch.Tensor:
    """FinerCAM for the case's class."""
    method = pgc.FinerCAM(case.network, [case.module], case.grid if case.tokens else None)
    with method, replaced((base_cam, "scale_cam_image", raw)):
        found = method(case.pixels.clone(), target_idx=case.target)
    case.network.zero_grad(set_to_none=True)
    return torch.from_numpy(found[0])


def guided(case: Case) -> torch.Tensor:
    """GuidedBackpropReLUModel; it exchanges modules in the network, so that it is given a copy."""
    found = pgc.GuidedBackpropReLUModel(copy.deepcopy(case.network))(case.pixels.clone(), case.target)
    return torch.from_numpy(found.transpose(2, 0, 1).copy())


class Times(nn.Module):
    """Scores times a factor."""

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return 1000 * scores


def thousandfold(target: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """The logit times 1000."""
    return lambda scores: 1000 * scores[target]


def plus_plus_of_thousandfold(case: Case) -> torch.Tensor:
    """Our Grad-CAM++ of the logit times 1000."""
    network = nn.Sequential(case.network, Times())
    method = METHODS.make(f"grad-cam-plus-plus(layer=0.{case.layer})")
    return method(Passes(wrap(network)), case.pixels, case.target).values[0]


def full_grad(case: Case) -> torch.Tensor:
    """FullGrad as it comes out."""
    return asked(pgc.FullGrad(case.network, []), case)


@torch.no_grad()
def rebuilt(case: Case) -> torch.Tensor:
    """DeepFeatureFactorization's directions times its maps, and the minima that it took off: the layer, `K h w`."""
    kept: list[torch.Tensor] = []
    handle = case.module.register_forward_hook(lambda _module, _given, answer: kept.append(answer))
    try:
        case.network(case.pixels)
    finally:
        handle.remove()
    cells = case.grid(kept[0])
    least = cells[0].flatten(1).amin(1)[:, None]
    directions, maps = quietly(dff, cells.contiguous().numpy().copy(), 5)
    found = (torch.from_numpy(directions) - least) @ torch.from_numpy(maps[0]).flatten(1) + least
    return found.view_as(cells[0])


def rebuilt_by_ours(case: Case) -> torch.Tensor:
    """Our directions times our strengths, and the minima."""
    found = case.maps("deep-feature-factorisation(layer=LAYER, shift=always)").arrays
    activations = inside(case)[0]
    least = activations.flatten(1).amin(1)[:, None, None]
    return torch.einsum("rhw,rk->khw", found["concepts"][0].double(), found["directions"][0].double()) + least
