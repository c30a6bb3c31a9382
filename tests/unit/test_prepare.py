"""Preparation: equal to each source's own transform, refused by name where it cannot be, and undone for display."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.errors import ModelError, PictureError, UsageError
from sightline.images.load import Picture, load
from sightline.images.prepare import Preparation, as_pixels
from sightline.images.prepare_from import as_preparation, from_processor, from_timm, from_torchvision

SIZES = [(333, 500), (97, 61), (224, 224), (1, 60), (255, 256), (40, 719)]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def picture(height: int, width: int) -> np.ndarray:
    """Blocks with noise: edges for the resampling, and no two channels alike."""
    random = np.random.default_rng(height * width)
    blocks = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return (0.8 * blocks + 0.2 * random.integers(0, 256, blocks.shape)).astype(np.uint8)


def worst(preparation: Preparation, theirs: Any) -> float:
    """The largest difference from another transform of Pillow images over all sizes."""
    differences = []
    for size in SIZES:
        ours, frame = preparation.prepare(load(picture(*size)))
        expected = theirs(Image.fromarray(picture(*size)))
        assert ours.shape == (1, *expected.shape) == (1, 3, *frame.input)
        assert ours.dtype == torch.float32
        differences.append(float((ours[0] - expected).abs().max()))
    return max(differences)


def turned(orientation: int, size: tuple[int, int] = (20, 32)) -> Picture:
    base = load(picture(*size))
    return Picture(base.rgb, "turned", base.sha256, orientation)


# --- torchvision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ResNet50", "EfficientNet_B3", "Swin_V2_T", "Inception_V3", "RegNet_Y_400MF", "ViT_B_16"]
)
def test_equal_to_torchvision_presets(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    for weights in getattr(models, f"{name}_Weights"):
        assert worst(from_torchvision(weights.transforms()), weights.transforms()) == 0


def test_equal_to_torchvision_compositions() -> None:
    v1 = pytest.importorskip("torchvision.transforms")
    v2 = pytest.importorskip("torchvision.transforms.v2")
    bicubic, normalise = v1.InterpolationMode.BICUBIC, v1.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    composed = [
        v1.Compose([v1.Resize((200, 240), bicubic), v1.CenterCrop(225), v1.ToTensor(), normalise]),
        v1.Compose([v1.Resize(65), v1.PILToTensor(), v1.ConvertImageDtype(torch.float)]),
        v1.Compose([v1.CenterCrop((64, 33)), v1.ToTensor()]),
        v1.Compose([v1.ToTensor()]),
        v2.Compose([v2.Resize(65), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])]),
    ]
    for transform in composed[:4]:
        assert worst(from_torchvision(transform), transform) <= 1e-6
    with pytest.raises(ModelError, match="3 values"):
        from_torchvision(composed[4])


def test_a_wrong_rounding_would_be_seen() -> None:
    """The broken twin: the same preparation with another rule for odd remainders, or another filter, differs."""
    models = pytest.importorskip("torchvision.models")
    transform = models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    right = {"resize": 256, "crop": (224, 224), **IMAGENET}
    assert worst(Preparation(**right), transform) == 0
    assert worst(Preparation(**right, rounding="floor"), transform) > 0.1
    assert worst(Preparation(**right, interpolation="bicubic"), transform) > 0.1
    assert worst(Preparation(**right, channels="bgr"), transform) > 0.1


def test_what_cannot_be_taken_is_refused_by_name() -> None:
    v1 = pytest.importorskip("torchvision.transforms")
    presets = pytest.importorskip("torchvision.transforms._presets")
    refusals = {
        "ColorJitter": v1.Compose([v1.ColorJitter(), v1.ToTensor()]),
        "Resize in a Compose comes too late": v1.Compose([v1.ToTensor(), v1.Resize(64)]),
        "max_size": v1.Compose([v1.Resize(64, max_size=99), v1.ToTensor()]),
        "ToTensor is missing": v1.Compose([v1.Resize(64)]),
        "float16": v1.Compose([v1.PILToTensor(), v1.ConvertImageDtype(torch.float16)]),
        "SemanticSegmentation": presets.SemanticSegmentation(resize_size=520),
        "int": 42,
    }
    for word, transform in refusals.items():
        with pytest.raises(ModelError, match=word) as caught:
            from_torchvision(transform)
        assert "Preparation" in str(caught.value)


# --- timm ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crop_pct": 0.95, "interpolation": "bilinear"},
        {"crop_pct": 1.0, "crop_mode": "squash", "input_size": (3, 96, 128)},
        {"crop_pct": 0.9, "crop_mode": "squash"},
        {"crop_pct": 0.882, "input_size": (3, 240, 240)},
    ],
)
def test_equal_to_timm(options: dict[str, Any]) -> None:
    data = pytest.importorskip("timm.data")
    config = data.resolve_data_config(pretrained_cfg={"input_size": (3, 224, 224), **IMAGENET, **options})
    assert worst(from_timm(config), data.create_transform(**config)) <= 1e-6


def test_timm_configs_that_are_refused() -> None:
    config = {"input_size": (3, 224, 224), "interpolation": "bicubic", **IMAGENET}
    for change, word in (
        ({"crop_mode": "border"}, "border"),
        ({"input_size": (3, 224, 320)}, "224 × 320"),
        ({"input_size": (1, 224, 224)}, "1 channels"),
        ({"interpolation": "random"}, "random"),
    ):
        with pytest.raises(ModelError, match=word):
            from_timm({**config, **change})
    with pytest.raises(ModelError, match="mean, std is missing"):
        from_timm({"input_size": (3, 224, 224)})


# --- Hugging Face ----------------------------------------------------------------------------------------------------

PROCESSORS = ["ViT", "DeiT", "ConvNext", "Bit", "EfficientNet", "MobileNetV1", "MobileNetV2", "MobileViT"]
PROCESSORS += ["Levit", "PoolFormer", "Pvt", "Beit", "CLIP"]


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("suffix", ["", "Pil"])
def test_equal_to_hugging_face(name: str, suffix: str) -> None:
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, f"{name}ImageProcessor{suffix}", None)
    if kind is None:
        pytest.skip(f"this transformers has no {name}ImageProcessor{suffix}")
    settings = [{}, {"do_center_crop": True, "crop_size": {"height": 225, "width": 227}}]
    for processor in [kind(**one) for one in settings]:
        preparation = from_processor(processor)
        assert preparation.exif == "apply"

        def theirs(image: Image.Image, processor: Any = processor) -> torch.Tensor:
            return processor(images=image, return_tensors="pt")["pixel_values"][0]

        assert worst(preparation, theirs) <= 1e-5


def test_processors_that_do_more_than_they_tell_are_refused() -> None:
    transformers = pytest.importorskip("transformers")

    class Darker(transformers.ViTImageProcessor):
        def rescale_and_normalize(self, images: Any, *rest: Any, **more: Any) -> Any:
            return super().rescale_and_normalize(images, *rest, **more) * 0.99

    for processor, word in ((Darker(), "settings do not tell"), (transformers.YolosImageProcessor(), "pads")):
        with pytest.raises(ModelError, match=word):
            from_processor(processor)

    class Fails(transformers.ViTImageProcessor):
        def preprocess(self, *rest: Any, **more: Any) -> Any:
            raise KeyError("clusters")

    with pytest.raises(ModelError, match="clusters"):
        from_processor(Fails())
    with pytest.raises(ModelError, match="cannot read the settings"):
        from_processor(type("Empty", (), {"do_resize": True})())


def test_anything_that_holds_a_preparation() -> None:
    preparation = Preparation(resize=64)
    assert as_preparation(None) is None
    assert as_preparation(preparation) is preparation
    assert as_preparation({"input_size": (3, 224, 224), **IMAGENET}).crop == (224, 224)
    assert as_preparation("resize 64") == preparation
    with pytest.raises(ModelError, match="unknown 'imagenet'"):
        as_preparation("imagenet")
    with pytest.raises(ModelError, match="from int"):
        as_preparation(7)
    transformers = pytest.importorskip("transformers")
    assert as_preparation(transformers.ViTImageProcessor()).resize == (224, 224)


# --- the value itself ------------------------------------------------------------------------------------------------


def test_the_default_is_the_picture_itself() -> None:
    pixels, frame = Preparation().prepare(load(picture(33, 47)))
    assert torch.equal(pixels[0], torch.from_numpy(picture(33, 47)).permute(2, 0, 1).float() / 255)
    assert (frame.picture, frame.input, frame.top, frame.left) == ((33, 47), (33, 47), 0, 0)


def test_channels_and_scale() -> None:
    red = load(np.full((4, 4, 3), [200, 100, 50], np.uint8))
    caffe = Preparation(channels="bgr", scale=1, mean=(104, 117, 123), std=(1, 1, 1))
    assert caffe.prepare(red)[0][0, :, 0, 0].tolist() == [50 - 104, 100 - 117, 200 - 123]
    grey = Preparation(channels="grey", mean=(0.5,), std=(0.5,))
    assert grey.prepare(red)[0].shape == (1, 1, 4, 4)
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert grey.prepare(red)[0][0, 0, 0, 0].item() == pytest.approx((luma / 255 - 0.5) / 0.5, abs=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_decides_what_the_network_sees(orientation: int) -> None:
    one = turned(orientation)
    seen = {exif: Preparation(exif=exif).prepare(one)[0] for exif in ("ignore", "apply")}
    assert torch.equal(seen["apply"], Preparation().prepare(load(one.rgb))[0])
    assert torch.equal(seen["ignore"], Preparation().prepare(load(np.ascontiguousarray(one.stored())))[0])
    assert torch.equal(seen["apply"], seen["ignore"]) == (orientation == 1)


@pytest.mark.parametrize(
    "preparation",
    [
        Preparation(**IMAGENET),
        Preparation(channels="bgr", scale=1, mean=(104, 117, 123)),
        Preparation(mean=(1.5, 1.5, 1.5), std=(0.25, 0.25, 0.25), scale=127.5),
    ],
)
def test_display_undoes_the_normalisation(preparation: Preparation) -> None:
    pixels, _ = preparation.prepare(load(picture(33, 47)))
    assert np.array_equal(preparation.display(pixels), picture(33, 47))
    assert np.array_equal(preparation.display(pixels[0]), picture(33, 47))
    with pytest.raises(UsageError, match="display takes 3"):
        preparation.display(pixels[0, :2])


def test_display_of_grey_and_of_values_outside() -> None:
    grey = Preparation(channels="grey", mean=(0.0,), std=(1.0,))
    assert grey.display(torch.tensor([[[-5.0, 5.0]]])).tolist() == [[[0] * 3, [255] * 3]]


def test_value_range_is_black_white_and_mean_in_network_units() -> None:
    preparation = Preparation(**IMAGENET)
    values = preparation.values()
    for level, expected in ((0, values.low), (255, values.high)):
        pixels, _ = preparation.prepare(load(np.full((2, 2, 3), level, np.uint8)))
        assert torch.allclose(pixels[0, :, 0, 0], expected, atol=1e-6)
    assert values.mean.tolist() == [0, 0, 0]
    assert Preparation().values().mean.tolist() == [0.5] * 3
    assert Preparation(scale=1).values().high.tolist() == [255] * 3


@pytest.mark.parametrize(
    "fields",
    [
        {"resize": 0},
        {"resize": (64, -1)},
        {"resize": True},
        {"crop": 224},
        {"crop": (224, 224, 3)},
        {"interpolation": "cubic"},
        {"interpolation": "box", "resizer": "torch"},
        {"mean": (0.5,)},
        {"std": (1, 0, 1)},
        {"mean": (float("nan"), 0, 0)},
        {"std": (1, 1, float("inf"))},
        {"scale": float("nan")},
        {"scale": 0},
        {"channels": "rbg"},
        {"exif": "maybe"},
        {"rounding": "up"},
        {"resizer": "cv2"},
    ],
)
def test_a_preparation_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="preparation: "):
        Preparation(**fields)


@pytest.mark.parametrize(
    ("line", "faint"),
    [
        ("mean 127.5, std 127.5", True),  # of values from 0 to 255, which were not declared so
        ("mean 123.675 116.28 103.53, std 58.395 57.12 57.375", True),
        ("mean 0.485 0.456 0.406, std 58.395 57.12 57.375", True),
        ("0-255, mean 123.675 116.28 103.53, std 58.395 57.12 57.375", False),
        ("0-255, bgr, mean 103.939 116.779 123.68", False),
        ("mean 0.485 0.456 0.406, std 0.229 0.224 0.225", False),
        ("-1-1", False),
        ("0-255", False),
        ("grey", False),
    ],
)
def test_a_preparation_that_leaves_hardly_any_picture_is_known(line: str, faint: bool) -> None:
    assert Preparation.parse(line).values().faint == faint


@pytest.mark.parametrize("size", [(40, 900), (300, 60), (64, 64), (10, 12)])
@pytest.mark.parametrize("preparation", [Preparation(resize=64, crop=(56, 48)), Preparation(crop=(80, 50)),
                                         Preparation()])  # fmt: skip
def test_the_share_of_a_picture_that_is_seen(size: tuple[int, int], preparation: Preparation) -> None:
    frame = preparation.frame(load(picture(*size)))
    assert frame.share == pytest.approx(frame.seen().mean(), abs=1 / min(size))


def test_a_picture_that_would_become_enormous_is_refused() -> None:
    with pytest.raises(PictureError, match="crop the picture first") as caught:
        Preparation(resize=256).prepare(load(np.zeros((1, 30_000), np.uint8)))
    assert caught.value.kind == "too-large"
    assert Preparation(resize=(256, 256)).prepare(load(np.zeros((1, 30_000), np.uint8)))[0].shape[2:] == (256, 256)


def test_preparing_changes_nothing_and_shares_nothing() -> None:
    one = load(picture(9, 7))
    pixels, _ = Preparation().prepare(one)
    pixels.zero_()
    assert np.array_equal(one.rgb, picture(9, 7))


def test_prepared_input_is_taken_as_it_is() -> None:
    pixels = torch.randn(3, 5, 7)
    assert torch.equal(as_pixels(pixels), pixels[None])
    assert torch.equal(as_pixels(pixels[None]), pixels[None])
    assert as_pixels(np.zeros((1, 5, 7))).dtype == torch.float32
    assert as_pixels(pixels.half()).dtype == torch.float16
    for wrong in (torch.zeros(3, 5, 7, dtype=torch.uint8), torch.zeros(5, 7), torch.zeros(0, 3, 5, 7), "x"):
        with pytest.raises(UsageError, match="prepared input"):
            as_pixels(wrong)
