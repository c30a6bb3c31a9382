"""Our road from a photograph to scores gives what the source's own road gives, on real photographs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from sightline.images.load import load as load_picture
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier

pytestmark = pytest.mark.real

CIFAR_RESNET = '''
"""ResNet for CIFAR-10 with shortcuts without weights (He et al., 2016, section 4.2, option A)."""
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.more = stride, out - channels

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def make():
    return ResNet20().eval()
'''


def ours(classifier: Classifier, path: Path) -> torch.Tensor:
    """Scores of one photograph by our road."""
    pixels, _ = classifier.preparation.prepare(load_picture(path))
    with torch.no_grad():
        return classifier.raw_scores(pixels)[0]


def check_equal(classifier: Classifier, paths: list[Path], theirs: Callable[[Path], torch.Tensor]) -> None:
    """Logits to 1e-4 and the same first class on every photograph; the photographs are told apart."""
    seen = []
    for path in paths:
        mine, other = ours(classifier, path), theirs(path)
        assert (mine - other).abs().max() < 1e-4, path.name
        assert mine.argmax() == other.argmax(), path.name
        seen.append(mine)
    assert (torch.stack(seen).std(0) > 1e-3).any()


def rgb(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvision_equals_its_own_pipeline(name: str, expanded_weights: Path, photographs: list[Path]) -> None:
    from safetensors.torch import load_file
    from torchvision import models

    file = expanded_weights / f"{name}.safetensors"
    classifier = load(f"torchvision/{name}", weights=file)
    network = models.get_model(name)
    network.load_state_dict({key: value.float() for key, value in load_file(file).items()})
    transform = models.get_model_weights(name).IMAGENET1K_V1.transforms()
    network.eval()

    def theirs(path: Path) -> torch.Tensor:
        with torch.no_grad():
            return network(transform(rgb(path))[None])[0]

    check_equal(classifier, photographs, theirs)


def test_another_preparation_would_not_be_equal(expanded_weights: Path, photographs: list[Path]) -> None:
    from torchvision import models

    classifier = load("torchvision/resnet18", weights=expanded_weights / "resnet18.safetensors")
    transform = models.ResNet50_Weights.IMAGENET1K_V2.transforms()  # resizes to 232 where 256 is right

    def theirs(path: Path) -> torch.Tensor:
        with torch.no_grad():
            return classifier.raw_scores(transform(rgb(path))[None])[0]

    with pytest.raises(AssertionError):
        check_equal(classifier, photographs[:2], theirs)


def test_resnet50_is_right_on_most_photographs(data_dir: Path, expanded_weights: Path) -> None:
    classifier = load("torchvision/resnet50", weights=expanded_weights / "resnet50.safetensors")
    with (data_dir / "photos" / "imagenet.csv").open() as file:
        rows = list(csv.DictReader(file))[::5]
    folder = data_dir / "photos" / "imagenet"
    right = sum(int(ours(classifier, folder / row["file"]).argmax()) == int(row["label"]) for row in rows)
    assert len(rows) == 60
    assert right / len(rows) >= 0.70


def test_timm_equals_its_own_pipeline(data_dir: Path, photographs: list[Path]) -> None:
    import timm
    from safetensors.torch import load_file

    file = data_dir / "weights" / "vit_tiny_patch16_224.safetensors"
    classifier = load("timm/vit_tiny_patch16_224", weights=file)
    network = timm.create_model("vit_tiny_patch16_224").eval()
    network.load_state_dict({key: value.float() for key, value in load_file(file).items()})
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)

    def theirs(path: Path) -> torch.Tensor:
        with torch.no_grad():
            return network(transform(rgb(path))[None])[0]

    check_equal(classifier, photographs, theirs)
    dog = data_dir / "photos" / "classic" / "gradcampp-collies.JPG"
    assert "collie" in classifier.label(int(ours(classifier, dog).argmax())).lower()


def small_hugging_face_networks() -> dict[str, tuple[nn.Module, object]]:
    """Small networks of four families with random weights, each with the processor its family uses."""
    import transformers as hf

    names = {"id2label": {i: f"kind {i}" for i in range(5)}, "label2id": {f"kind {i}": i for i in range(5)}}
    names["initializer_range"] = 0.1  # the usual 0.02 is so small that the scores hardly depend on the picture
    vit = hf.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=64, **names
    )
    resnet = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **names)
    convnext = hf.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, **names)
    swin = hf.SwinConfig(embed_dim=16, depths=[1, 1], num_heads=[1, 2], window_size=4, image_size=64, **names)
    return {
        "vit": (hf.ViTForImageClassification(vit), hf.ViTImageProcessor(size={"height": 64, "width": 64})),
        "resnet": (
            hf.ResNetForImageClassification(resnet),
            hf.ConvNextImageProcessor(size={"shortest_edge": 96}, crop_pct=0.875),
        ),
        "convnext": (
            hf.ConvNextForImageClassification(convnext),
            hf.ConvNextImageProcessor(size={"shortest_edge": 80}, crop_pct=0.9),
        ),
        "swin": (
            hf.SwinForImageClassification(swin),
            hf.ViTImageProcessor(size={"height": 64, "width": 64}, resample=3),
        ),
    }


@pytest.mark.parametrize("family", ["vit", "resnet", "convnext", "swin"])
def test_hugging_face_equals_its_own_pipeline(family: str, tmp_path: Path, photographs: list[Path]) -> None:
    import transformers as hf

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, processor = small_hugging_face_networks()[family]
    network.eval().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    classifier = load(f"hf/{tmp_path}")
    assert classifier.labels == tuple(f"kind {i}" for i in range(5))
    reader = hf.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")

    def theirs(path: Path) -> torch.Tensor:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        with torch.no_grad():
            return network(**reader(upright, return_tensors="pt")).logits[0]

    check_equal(classifier, photographs, theirs)


def test_a_network_that_no_hub_knows(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "cifar.py").write_text(CIFAR_RESNET)
    file = data_dir / "weights" / "resnet20_cifar10.th"
    labels = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    preparation = {
        "input_size": (3, 32, 32),
        "crop_pct": 1.0,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }
    classifier = load(f"{tmp_path}/cifar.py:make", weights=file, labels=labels, preparation=preparation)
    stored = torch.load(file, weights_only=True, map_location="cpu")["state_dict"]
    assert torch.equal(classifier.network.linear.weight, stored["module.linear.weight"])
    plane = data_dir / "photos" / "classic" / "vit-explain-plane.png"
    assert classifier.label(int(ours(classifier, plane).argmax())) == "airplane"
