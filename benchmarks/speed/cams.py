"""Class activation maps beside pytorch-grad-cam, torch-cam and captum."""

from __future__ import annotations

import captum.attr
import pytorch_grad_cam as pgc
import torch
from parity.grad_cam_asks import as_shown
from parity.rows import apart
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchcam import methods as torchcam

from speed.names import CONVOLUTIONAL
from speed.ours import ours
from speed.races import Make, Maps, Peer, Race, everywhere
from speed.subjects import Asked, first_channels

TEN = {
    "grad-cam": "GradCAM",
    "grad-cam-plus-plus": "GradCAMPlusPlus",
    "hires-cam": "HiResCAM",
    "grad-cam-element-wise": "GradCAMElementWise",
    "xgrad-cam": "XGradCAM",
    "layer-cam": "LayerCAM",
    "eigen-cam": "EigenCAM",
    "eigen-grad-cam": "EigenGradCAM",
    "seg-eigen-cam": "SegEigenCAM",
    "fem": "FEM",
}
SIGNED = {"eigen-cam": "(layer=LAYER, centred=true)", "eigen-grad-cam": "(layer=LAYER, centred=true)"}


def grad_cam(*names: str) -> Make:
    """pytorch-grad-cam: methods one after another, all pictures in one batch; enlarged to the picture as it does."""

    def make(asked: Asked, _parts: int) -> Maps:
        reshape = asked.case.grid if asked.case.tokens else None
        targets = [ClassifierOutputTarget(target) for target in asked.targets]
        found: list[torch.Tensor] = []
        for name in names:
            with getattr(pgc, name)(asked.network, [asked.network.get_submodule(asked.layer)], reshape) as method:
                found += list(torch.from_numpy(method(asked.pixels, targets=targets)))
        asked.network.zero_grad(set_to_none=True)
        return found

    return make


def torch_cam(name: str, **options: int) -> Make:
    """torch-cam: one batch, raw maps."""

    def make(asked: Asked, _parts: int) -> Maps:
        reshape = {"reshape_transform": asked.case.grid} if asked.case.tokens else {}
        method = getattr(torchcam, name)(asked.network, asked.layer, input_shape=(3, 224, 224), **reshape, **options)
        with method as extractor:
            found = extractor(list(asked.targets), asked.network(asked.pixels), normalized=False)[0]
        asked.network.zero_grad(set_to_none=True)
        return list(found.detach())

    return make


def captum_grad_cam(asked: Asked, _parts: int) -> Maps:
    """captum: LayerGradCam, all pictures in one batch."""
    method = captum.attr.LayerGradCam(asked.network, asked.network.get_submodule(asked.layer))
    found = method.attribute(asked.pixels, target=list(asked.targets), relu_attributions=True)
    return list(found[:, 0].detach())


@torch.no_grad()
def torch_cam_scores(asked: Asked, parts: int) -> Maps:
    """torch-cam's ScoreCAM, 32 masks at a time as by default."""
    return torch_cam("ScoreCAM", batch_size=32)(asked, parts)


@torch.no_grad()
def grad_cam_scores(asked: Asked, parts: int) -> Maps:
    """pytorch-grad-cam's ScoreCAM, 16 masks at a time as by default."""
    return grad_cam("ScoreCAM")(asked, parts)


def shown(map: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Our map as pytorch-grad-cam shows it."""
    return as_shown(map.squeeze(), theirs)


def shown_either_way(map: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """The same of a component, which has no sign of its own."""
    both = shown(map, theirs), shown(-map, theirs)
    return min(both, key=lambda one: apart(one.double(), theirs.double()))


def _channels(asked: Asked, parts: int) -> Asked:
    """All channels, or a copy of the network in which only so many are looked at."""
    return first_channels(asked, parts) if parts < 2048 else asked


RACES = [
    Race(
        key="grad-cam",
        title="Grad-CAM, 8 pictures",
        ours=ours("grad-cam(layer=LAYER)", runtime="openvino"),
        peers=[
            Peer(
                name="captum",
                call="LayerGradCam(relu_attributions=True)",
                make=captum_grad_cam,
                networks=CONVOLUTIONAL,
            ),
            Peer(name="torchcam", call="GradCAM", make=torch_cam("GradCAM")),
            Peer(name="grad-cam", call="GradCAM", make=grad_cam("GradCAM"), fits=[shown]),
        ],
        pictures=8,
        forward=8,
        batch=8,
        repeats=5,
        targets=everywhere(1.5, 3),
        within=1.25,
        note="ours is asked with `runtime=openvino`, whose program (2 s) is made in the untimed go; unasked it comes "
        "after some 200 pictures; pytorch-grad-cam's map is enlarged to the picture, which costs little",
    ),
    Race(
        key="ten-cams",
        title="ten class activation maps of one picture",
        ours=ours(*[f"{name}{SIGNED.get(name, '(layer=LAYER)')}" for name in TEN]),
        peers=[
            Peer(
                name="grad-cam",
                call="ten methods",
                make=grad_cam(*TEN.values()),
                fits=[shown_either_way if "eigen" in name else shown for name in TEN],
            ),
        ],
        forward=1,
        batch=1,
        repeats=5,
        targets=everywhere(6, 10),
        note=f"{', '.join(TEN)}; no other package has them all",
    ),
    Race(
        key="score-cam",
        title="Score-CAM, 2048 channels",
        ours=ours("score-cam(layer=LAYER, order=normalise-first)"),
        peers=[
            Peer(name="torchcam", call="ScoreCAM(batch_size=32)", make=torch_cam_scores),
            Peer(name="grad-cam", call="ScoreCAM", make=grad_cam_scores, fits=[shown]),
        ],
        parts=2048,
        share=192,
        quick=64,
        whole=True,
        forward=2048,
        ready=_channels,
        repeats=1,
        targets=everywhere(2.5, 6),
        networks=("ResNet-50",),
        note="a share looks at the first channels only; torch-cam's order of enlarging and stretching",
    ),
]
