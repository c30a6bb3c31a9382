"""Where definitions coincide, maps equal Captum's: the largest relative difference is 1e-4."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from small import close, picture, pooled, smooth

captum = pytest.importorskip("captum.attr")

from sightline.attribution.result import Attribution  # noqa: E402
from sightline.images.prepare import Preparation  # noqa: E402
from sightline.models.classifier import Classifier, wrap  # noqa: E402
from sightline.runs.explain import explain  # noqa: E402

AGREED = 1e-4
NORMAL = Preparation(resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def channels_of(
    network: nn.Module | Classifier, pixels: torch.Tensor, method: str, target: int = 1, **options: object
) -> torch.Tensor:
    """`c h w` where the method has a value for each channel, else `1 h w`."""
    found = explain(network, pixels, method, target=target, **options)  # type: ignore[arg-type]
    assert isinstance(found, Attribution)
    return torch.from_numpy(found.channels if found.channels is not None else found.map[None])


@pytest.mark.parametrize("build", [smooth, pooled])
def test_gradient(build: object) -> None:
    network, x = build(), picture(9, 12)  # type: ignore[operator]
    expected = captum.Saliency(network).attribute(x.clone().requires_grad_(), target=1, abs=False)
    assert close(channels_of(network, x, "gradient"), expected[0], AGREED)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("gauss-legendre", "gausslegendre"),
        ("midpoint", "riemann_middle"),
        ("right", "riemann_right"),
        ("left", "riemann_left"),
    ],
)
@pytest.mark.parametrize("steps", [7, 50])
@pytest.mark.parametrize("build", [smooth, pooled])
def test_integrated_gradients(ours: str, theirs: str, steps: int, build: object) -> None:
    network, x = build(), picture(9, 12)  # type: ignore[operator]
    expected, error = captum.IntegratedGradients(network).attribute(
        x, target=1, n_steps=steps, method=theirs, return_convergence_delta=True
    )
    spec = f"integrated-gradients(rule={ours}, steps={steps})"
    assert close(channels_of(network, x, spec), expected[0].float(), AGREED)
    found = explain(network, x, spec, target=1)
    assert isinstance(found, Attribution)
    assert found.completeness_error == pytest.approx(float(error), abs=2e-6)


def test_integrated_gradients_by_trapezoids_are_captums_but_for_weights_that_sum_to_one() -> None:
    network, x = smooth(), picture(9, 12)
    expected = captum.IntegratedGradients(network).attribute(x, target=1, n_steps=20, method="riemann_trapezoid")
    found = channels_of(network, x, "integrated-gradients(rule=trapezoid, steps=20)")
    assert close(found, expected[0].float() * 20 / 19, AGREED)
    assert not close(found, expected[0].float(), 0.01)


@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [
        ((7, 7), (3, 3), (2, 2)),
        ((8, 8), (3, 3), (2, 2)),
        ((7, 8), (3, 3), (2, 2)),
        ((9, 14), (4, 5), (3, 2)),
        ((5, 6), (2, 3), (2, 3)),
        ((6, 6), (6, 6), (1, 1)),
        ((97, 61), (30, 25), (20, 25)),
    ],
)
@pytest.mark.parametrize("fill", [0.0, 0.5])
def test_occlusion(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], fill: float) -> None:
    network, x = smooth(), picture(*size)
    with torch.no_grad():
        network[-1].weight.mul_(30)  # scores far apart, so that their differences have digits enough to compare
        expected = captum.Occlusion(network).attribute(
            x, sliding_window_shapes=(3, *window), strides=(3, *stride), target=1, baselines=fill
        )
    word = {0.0: "black", 0.5: "grey"}[fill]
    found = channels_of(network, x, f"occlusion(window={window}, stride={stride}, fill={word}, score=logit)")
    assert close(found, expected[0, :1].float(), AGREED)


def test_occlusion_with_the_mean_colour_of_a_preparation() -> None:
    network, x = smooth(), picture(8, 8) * 2 - 1
    with torch.no_grad():
        network[-1].weight.mul_(30)
        expected = captum.Occlusion(network).attribute(
            x, sliding_window_shapes=(3, 3, 3), strides=(3, 2, 2), target=1, baselines=0
        )
    found = explain(
        wrap(network, preparation=NORMAL), x, "occlusion(window=3, stride=2, fill=mean, score=logit)", target=1
    )
    assert isinstance(found, Attribution)
    assert close(torch.from_numpy(found.map)[None], expected[0, :1].float(), AGREED)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam(place: int, relu: bool) -> None:
    network, x = smooth(), picture(10, 14)
    low = captum.LayerGradCam(network, network[place]).attribute(x, target=1, relu_attributions=relu)
    expected = captum.LayerAttribution.interpolate(low, (10, 14), interpolate_mode="bilinear")
    found = channels_of(network, x, f"grad-cam(layer={place}, relu={str(relu).lower()})")
    assert close(found, expected[0].detach(), AGREED)


def test_smooth_grad_with_the_same_noise() -> None:
    network, x = smooth(), picture(9, 12)
    generator, sigma = torch.Generator().manual_seed(3), 0.15 * (x.max() - x.min())
    saliency, total = captum.Saliency(network), torch.zeros_like(x)
    for _ in range(6):
        noisy = x + sigma * torch.randn(x.shape[1:], generator=generator)
        total += saliency.attribute(noisy.requires_grad_(), target=1, abs=False) / 6
    assert close(channels_of(network, x, "smooth-grad(samples=6, seed=3)"), total[0].detach(), AGREED)


@pytest.fixture(scope="module")
def photograph(data_dir: Path) -> torch.Tensor:
    """A real photograph, prepared as ImageNet networks want it, `1 3 224 224`."""
    from sightline.images.load import load

    path = sorted((data_dir / "photos" / "coco").glob("*.jpg"))[0]
    pixels, _ = NORMAL.prepare(load(path))
    return pixels


@pytest.mark.real
def test_resnet18_with_its_real_weights(resnet18: nn.Module, photograph: torch.Tensor) -> None:
    target = int(resnet18(photograph).argmax())
    expected = captum.Saliency(resnet18).attribute(photograph.clone().requires_grad_(), target=target, abs=False)
    assert close(channels_of(resnet18, photograph, "gradient", target), expected[0], AGREED)
    for layer in ("layer4", "layer3"):
        low = captum.LayerGradCam(resnet18, resnet18.get_submodule(layer)).attribute(
            photograph, target=target, relu_attributions=True
        )
        wide = captum.LayerAttribution.interpolate(low, (224, 224), interpolate_mode="bilinear")
        assert close(channels_of(resnet18, photograph, f"grad-cam(layer={layer})", target), wide[0].detach(), AGREED)
    ours = wrap(resnet18, preparation=NORMAL)
    ways = captum.IntegratedGradients(resnet18).attribute(photograph, target=target, n_steps=8, internal_batch_size=8)
    assert close(
        channels_of(ours, photograph, "integrated-gradients(steps=8, baseline=mean)", target), ways[0].float(), AGREED
    )
    with torch.no_grad():
        hidden = captum.Occlusion(resnet18).attribute(
            photograph, sliding_window_shapes=(3, 75, 75), strides=(3, 75, 75), target=target, perturbations_per_eval=9
        )
    found = channels_of(ours, photograph, "occlusion(window=75, stride=75, fill=mean, score=logit)", target)
    assert close(found, hidden[0, :1].float(), AGREED)


@pytest.mark.real
def test_a_vision_transformer_at_full_size(photograph: torch.Tensor) -> None:
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    expected = captum.Saliency(network).attribute(photograph.clone().requires_grad_(), target=3, abs=False)
    assert close(channels_of(network, photograph, "gradient", 3), expected[0], AGREED)
