"""Maps of other packages, each asked as its own documentation asks it, for the labelled class."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from quality.contestants import Case, Contestant, peer

Ask: TypeAlias = Callable[[nn.Module, Case], Any]
NOT_MEASURED = {
    ("torchcam", "SSCAM"): "71,680 passes a photograph at its defaults",
    ("torchcam", "ISCAM"): "20,480 passes a photograph at its defaults",
}


def everyone() -> list[Contestant]:
    """The methods of all packages that are installed."""
    makers = {"pytorch_grad_cam": grad_cam, "torchcam": torchcam, "captum": captum, "zennit": zennit}
    return [one for package, make in makers.items() if find_spec(package) for one in make()]


def grad_cam() -> list[Contestant]:
    """pytorch-grad-cam: `cam(input_tensor, targets=[ClassifierOutputTarget(k)])` at `model.layer4[-1]`."""
    import pytorch_grad_cam as package

    names = "GradCAM GradCAMPlusPlus HiResCAM GradCAMElementWise XGradCAM LayerCAM EigenCAM EigenGradCAM KPCA_CAM FEM"
    names += " ShapleyCAM FinerCAM FullGrad AblationCAM ScoreCAM"
    return [
        peer("grad-cam", name, partial(_grad_cam, name))  # in float32: it makes arrays of bfloat16 and fails
        for name in names.split()
        if hasattr(package, name)
    ]


def torchcam() -> list[Contestant]:
    """torchcam: `extractor(class_idx, scores)` at the layer that it finds, its map enlarged."""
    names = (
        "CAM",
        "GradCAM",
        "GradCAMpp",
        "SmoothGradCAMpp",
        "XGradCAM",
        "LayerCAM",
        "FinerCAM",
        "RefineCAM",
        "ScoreCAM",
    )
    return [peer("torchcam", name, partial(_torchcam, name), fast=name == "ScoreCAM") for name in names]


def zennit() -> list[Contestant]:
    """zennit: composites with the canoniser for torchvision's ResNet, the relevance summed over the channels."""
    names = "EpsilonGammaBox EpsilonPlus EpsilonPlusFlat EpsilonAlpha2Beta1 EpsilonAlpha2Beta1Flat ExcitationBackprop"
    return [peer("zennit", name, partial(_zennit, name)) for name in f"{names} GuidedBackprop DeconvNet".split()]


def _grad_cam(name: str, network: nn.Module, case: Case) -> Any:
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets: Any = [ClassifierOutputTarget(case.label)]
    last = network.get_submodule("layer4")[-1]  # type: ignore[index]
    with getattr(package, name)(model=network, target_layers=[last]) as cam:
        if name == "FinerCAM":
            return cam(case.pixels, targets=None, target_idx=case.label)[0]
        return cam(case.pixels, targets=targets)[0]


def _torchcam(name: str, network: nn.Module, case: Case) -> Any:
    from torchcam import methods

    layers = (["layer2", "layer3", "layer4"],) if name == "RefineCAM" else ()
    with getattr(methods, name)(network, *layers) as extractor:
        scores = network(case.pixels.clone().requires_grad_())
        return extractor(case.label, scores)[0]


def _zennit(name: str, network: nn.Module, case: Case) -> Any:
    from zennit import composites
    from zennit.attribution import Gradient
    from zennit.torchvision import ResNetCanonizer

    arguments: dict[str, Any] = {"canonizers": [ResNetCanonizer()]}
    if name == "EpsilonGammaBox":
        values = case.classifier.values
        arguments |= {"low": values.low.view(1, 3, 1, 1), "high": values.high.view(1, 3, 1, 1)}
    composite = getattr(composites, name)(**arguments)
    with Gradient(model=network, composite=composite) as attributor:
        _, relevance = attributor(case.pixels, torch.eye(1000)[[case.label]])
    return relevance


def captum() -> list[Contestant]:
    """captum: as its tutorials ask it (window 15, stride 8; 50 steps; 50 superpixels as features)."""
    asks: dict[str, Ask] = {
        "Saliency": lambda net, case: _captum(net, case, "Saliency"),
        "InputXGradient": lambda net, case: _captum(net, case, "InputXGradient"),
        "Deconvolution": lambda net, case: _captum(net, case, "Deconvolution"),
        "GuidedBackprop": lambda net, case: _captum(net, case, "GuidedBackprop"),
        "GuidedGradCam": _guided_grad_cam,
        "DeepLift": _deep_lift,
        "LRP": lambda net, case: _captum(net, case, "LRP"),
        "IntegratedGradients": lambda net, case: _captum(net, case, "IntegratedGradients", internal_batch_size=10),
        "GradientShap": _gradient_shap,
        "NoiseTunnel(Saliency)": partial(_noise_tunnel, "Saliency"),
        "NoiseTunnel(IntegratedGradients)": partial(_noise_tunnel, "IntegratedGradients"),
        "Occlusion": _occlusion,
        "Lime": partial(_regions, "Lime"),
        "KernelShap": partial(_regions, "KernelShap"),
        "ShapleyValueSampling": partial(_regions, "ShapleyValueSampling"),
    }
    slow = ("Occlusion", "Lime", "KernelShap", "ShapleyValueSampling", "NoiseTunnel(IntegratedGradients)")
    return [peer("captum", name, ask, fast=name in slow) for name, ask in asks.items()]


def _captum(network: nn.Module, case: Case, name: str, **arguments: Any) -> Any:
    from captum import attr

    pixels = case.pixels.clone().requires_grad_()
    return getattr(attr, name)(network).attribute(pixels, target=case.label, **arguments)


def _guided_grad_cam(network: nn.Module, case: Case) -> Any:
    from captum.attr import GuidedGradCam

    return GuidedGradCam(network, network.layer4).attribute(case.pixels.clone().requires_grad_(), target=case.label)


def _deep_lift(network: nn.Module, case: Case) -> Any:
    """Its documentation asks for networks in which no module is used twice."""
    from parity.injected import with_own_relus

    return _captum(with_own_relus(network), case, "DeepLift")


def _gradient_shap(network: nn.Module, case: Case) -> Any:
    baselines = torch.cat([case.pixels * 0, case.pixels * 0 + 1])
    return _captum(network, case, "GradientShap", n_samples=50, stdevs=0.0001, baselines=baselines)


def _noise_tunnel(of: str, network: nn.Module, case: Case) -> Any:
    from captum import attr

    tunnel = attr.NoiseTunnel(getattr(attr, of)(network))
    more = {"internal_batch_size": 10} if of == "IntegratedGradients" else {}
    return tunnel.attribute(case.pixels, nt_samples=10, nt_type="smoothgrad_sq", target=case.label, **more)


def _occlusion(network: nn.Module, case: Case) -> Any:
    arguments: dict[str, Any] = {"strides": (3, 8, 8), "sliding_window_shapes": (3, 15, 15), "baselines": 0}
    with torch.no_grad():
        return _captum(network, case, "Occlusion", perturbations_per_eval=16, **arguments)


def _regions(name: str, network: nn.Module, case: Case) -> Any:
    from skimage.segmentation import slic

    shown = case.classifier.preparation.display(case.pixels) if case.classifier.preparation else None
    segments = np.ascontiguousarray(slic(shown, n_segments=50, start_label=0))
    mask = torch.from_numpy(segments)[None, None].expand(1, 3, -1, -1).long()
    network.to(memory_format=torch.contiguous_format)
    with torch.no_grad():  # its Shapley values cannot view the scores of a channels-last network
        return _captum(network, case, name, feature_mask=mask, perturbations_per_eval=16)
