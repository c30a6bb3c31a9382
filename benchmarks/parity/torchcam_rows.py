"""torch-cam (the package `torchcam`): class activation maps before they are stretched to 0…1."""

from __future__ import annotations

from typing import Any

import torch
from torchcam import methods

from parity.injected import noise_of, replaced
from parity.rows import EVERY, LARGE, RESNETS, Case, Make, Row, called, rows_of

row = rows_of("torchcam")
LAST = (
    "torch-cam weighs activations by the third derivatives cell by cell and takes the first derivative of its last "
    "copy only; ours is the paper's"
)
ORDER = "torch-cam stretches its masks to 0…1 before it enlarges them, and ours is asked to (order=normalise-first)"
SQUARED = "torch-cam's division by the paper's denominator has no effect: form=squared is what it computes"
NOISE = "the same noise in both"
BOTH = ("layer3", "layer4")


def cam(name: str, **options: Any) -> Make:
    """A method's raw map at the case's layer."""

    def theirs(case: Case) -> torch.Tensor:
        return raw(name, case, [case.layer], **options)[0]

    return theirs


def raw(name: str, case: Case, layers: list[str], **options: Any) -> list[torch.Tensor]:
    """The raw maps of a method at several layers, `h w` each."""
    reshape = {"reshape_transform": case.grid} if case.tokens else {}
    method = getattr(methods, name)(case.network, list(layers), input_shape=(3, *case.size), **reshape, **options)
    with method as extractor:
        maps = extractor(case.target, case.network(case.pixels), normalized=False)
    case.network.zero_grad(set_to_none=True)
    return [map[0].detach() for map in maps]


def fused(case: Case) -> torch.Tensor:
    """LayerCAM's maps at two layers, each in parts of its largest value, fused."""
    low = [map / map.max() for map in raw("LayerCAM", case, list(BOTH))]
    found: torch.Tensor = methods.LayerCAM.fuse_cams([map[None] for map in low], case.size)[0]
    return found


def refined(case: Case) -> torch.Tensor:
    """Grad-CAM++'s maps at two layers, refined."""
    low = [map[None] for map in raw("GradCAMpp", case, list(BOTH))]
    found: torch.Tensor = methods.RefineCAM.fuse_cams(low, case.size, normalized=False)[0]
    return found


class _Given:
    """A distribution that gives what it was given, copy by copy."""

    def __init__(self, copies: torch.Tensor) -> None:
        self.copies = iter(copies)

    def sample(self, _shape: torch.Size) -> torch.Tensor:
        """The next copy."""
        return next(self.copies)[None]


def smooth(case: Case) -> torch.Tensor:
    """SmoothGradCAMpp with our noise."""
    noise = noise_of("smooth-grad(samples=8, seed=0)", case.pixels)
    with replaced((torch.distributions.normal, "Normal", lambda *_args: _Given(noise))):
        method = methods.SmoothGradCAMpp(
            case.network, case.layer, num_samples=8, input_shape=(3, *case.size), **_reshape(case)
        )
    with replaced((method, "_distrib", _Given(noise))), method as extractor:
        found: torch.Tensor = extractor(case.target, case.network(case.pixels), normalized=False)[0][0].detach()
    case.network.zero_grad(set_to_none=True)
    return found


def _reshape(case: Case) -> dict[str, Any]:
    return {"reshape_transform": case.grid} if case.tokens else {}


def simple(ours: str, name: str, why: str = "", networks: tuple[str, ...] = EVERY, **options: Any) -> Row:
    """A class activation map at every layer."""
    return row(ours, called(name, options), cam(name, **options), why=why, networks=networks, where="each")


def dear(ours: str, name: str, why: str, **options: Any) -> Row:
    """A map that costs passes for every channel: at a layer of few."""
    made = torch.no_grad()(cam(name, **options))
    return row(ours, called(name, options), made, why=why, dear=LARGE, where="early")


ROWS = [
    row("cam(layer=LAYER)", "CAM", cam("CAM", fc_layer="fc"), networks=RESNETS),
    simple("grad-cam(layer=LAYER)", "GradCAM"),
    simple("grad-cam-plus-plus(layer=LAYER, form=squared)", "GradCAMpp", SQUARED),
    simple("xgrad-cam(layer=LAYER)", "XGradCAM"),
    simple("layer-cam(layer=LAYER)", "LayerCAM"),
    simple("finer-cam(of=grad-cam(layer=LAYER))", "FinerCAM", base_method=methods.GradCAM, gamma=0.6),
    simple("finer-cam(of=layer-cam(layer=LAYER))", "FinerCAM", base_method=methods.LayerCAM, gamma=0.6),
    row(
        "smooth-grad-cam-plus-plus(layer=LAYER, samples=8)",
        "SmoothGradCAMpp(num_samples=8)",
        smooth,
        tolerance=None,
        why=f"{NOISE}; {LAST}",
        where="each",
    ),
    row(
        "fused-cam(layers=(layer3, layer4))",
        "LayerCAM.fuse_cams",
        fused,
        why="torch-cam's fusion lifts maps in parts of their largest value, as ours does by itself",
        networks=RESNETS,
    ),
    row(
        "refine-cam(of=grad-cam-plus-plus(form=squared), layers=(layer3, layer4))",
        "RefineCAM.fuse_cams",
        refined,
        networks=RESNETS,
    ),
    dear("score-cam(layer=LAYER, order=normalise-first)", "ScoreCAM", ORDER),
    dear("is-cam(layer=LAYER, steps=2, factors=running-sum, order=normalise-first)", "ISCAM", ORDER, num_samples=2),
    dear("ss-cam(layer=LAYER, samples=1, sigma=0, order=normalise-first)", "SSCAM", ORDER, num_samples=1, std=1e-9),
]
