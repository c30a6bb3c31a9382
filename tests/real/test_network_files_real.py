"""Real networks in files: the right class on real photographs, and the maps of the network they were exported from."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import pytest
import torch

import sightline
from sightline.attribution.table import METHODS
from sightline.images.load import load as load_picture
from sightline.models.classifier import Classifier
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import close

pytestmark = pytest.mark.real

CAFFE = sightline.Preparation(resize=(227, 227), channels="bgr", scale=1.0, mean=(104, 117, 123), std=(1, 1, 1))


def right(classifier: Classifier, data: Path, every: int, first: int = 0) -> float:
    """The share of photographs that get their class, which is `first` places further on."""
    with (data / "photos" / "imagenet.csv").open() as file:
        rows = list(csv.DictReader(file))[::every]
    found = 0
    for row in rows:
        pixels, _ = classifier.preparation.prepare(load_picture(data / "photos" / "imagenet" / row["file"]))  # type: ignore[union-attr]
        found += int(classifier.raw_scores(pixels)[0].argmax()) - first == int(row["label"])
    return found / len(rows)


def test_squeezenet_of_openvino_is_right_on_photographs(data_dir: Path) -> None:
    file = data_dir / "weights" / "squeezenet1.1.xml"
    classifier = sightline.load(str(file), preparation=CAFFE)
    assert classifier.head == "probabilities"
    assert right(classifier, data_dir, 6) > 0.7
    plain = sightline.load(str(file))  # nothing declared: it says so, and is worse
    assert any("does not say how pictures are prepared" in note for note in plain.notes)
    assert right(plain, data_dir, 12) < right(classifier, data_dir, 12)


def test_mobilenet_in_integers_is_right_on_photographs(data_dir: Path) -> None:
    classifier = sightline.load(str(data_dir / "weights" / "mobilenet_v2_int8.tflite"))
    assert (classifier.head, classifier.forward_only is None) == ("probabilities", False)
    assert right(classifier, data_dir, 6, first=1) > 0.7


@pytest.mark.parametrize("name", ["squeezenet1.1.xml", "mobilenet_v2_int8.tflite"])
def test_occlusion_lies_on_the_object(name: str, data_dir: Path) -> None:
    options = {"preparation": CAFFE} if name.endswith(".xml") else {}
    classifier = sightline.load(str(data_dir / "weights" / name), **options)  # type: ignore[arg-type]
    with (data_dir / "photos" / "imagenet.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if _area(row) < 0.35 * 227**2][:60:8]
    inside = []
    for row in rows:
        path = data_dir / "photos" / "imagenet" / row["file"]
        target = int(row["label"]) + name.endswith(".tflite")
        found = sightline.explain(classifier, path, "occlusion(window=56, stride=28)", target=target)
        values = torch.from_numpy(found.map)  # type: ignore[union-attr]
        side = values.shape[0]
        x0, y0, x1, y1 = (float(row[word]) / 227 * side for word in ("x0", "y0", "x1", "y1"))
        y, x = divmod(int(values.argmax()), side)
        inside.append(x0 - 28 <= x <= x1 + 28 and y0 - 28 <= y <= y1 + 28)
    assert len(inside) >= 6
    assert sum(inside) / len(inside) > 0.7


def _area(row: dict[str, str]) -> float:
    return (float(row["x1"]) - float(row["x0"])) * (float(row["y1"]) - float(row["y0"]))


@pytest.fixture(scope="module", params=["resnet18", "vit"])
def original(request: pytest.FixtureRequest, data_dir: Path, expanded_weights: Path) -> Classifier:
    """A network with its real weights."""
    if request.param == "resnet18":
        return sightline.load("torchvision/resnet18", weights=expanded_weights / "resnet18.safetensors")
    weights = data_dir / "weights" / "vit_tiny_patch16_224.safetensors"
    return sightline.load("timm/vit_tiny_patch16_224", weights=weights)


@pytest.fixture(scope="module", params=[False, True], ids=["torchscript-road", "dynamo-road"])
def exported(
    request: pytest.FixtureRequest, original: Classifier, tmp_path_factory: pytest.TempPathFactory
) -> Classifier:
    """The network exported to ONNX with a free batch, and loaded from there."""
    file = tmp_path_factory.mktemp("onnx") / "network.onnx"
    free = (
        {"dynamic_shapes": ({0: torch.export.Dim("b")},), "verbose": False}
        if request.param
        else {"input_names": ["x"], "dynamic_axes": {"x": {0: "b"}}}
    )
    network = original.network.eval()  # type: ignore[union-attr]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(2, 3, 224, 224),), str(file), dynamo=request.param, **free)  # type: ignore[arg-type]
    return sightline.load(str(file), labels=original.labels, preparation=original.preparation)


def test_an_export_is_converted_and_gives_the_scores_and_maps_of_its_network(
    original: Classifier, exported: Classifier, data_dir: Path
) -> None:
    assert exported.network is not None, exported.forward_only
    assert not exported.network.one_picture_at_a_time
    path = data_dir / "photos" / "classic" / "gradcampp-collies.JPG"
    pixels, _ = original.preparation.prepare(load_picture(path))  # type: ignore[union-attr]
    with Passes(original, runtime="eager") as passes:
        wanted = passes.scores(pixels)
    with Passes(exported, runtime="eager") as passes:
        found = passes.scores(pixels)
    assert torch.allclose(found, wanted, atol=1e-3)
    assert "collie" in exported.label(int(found.argmax())).lower()
    transformer = "vit" in original.name
    methods = ["gradient", "grad-cam", "attn-lrp" if transformer else "lrp"]
    for name in [*methods, "attention-relevance"] if transformer else [*methods, "guided-backpropagation"]:
        method = METHODS.make(name)
        ours, theirs = (method(one, pixels, Target(wanted.argmax(1))) for one in (exported, original))
        apart = (ours.values - theirs.values).norm() / theirs.values.norm()
        assert apart < 1e-2, (name, float(apart), ours.layer, theirs.layer)
        assert not close(method(exported, pixels, 0).values, theirs.values, 0.1), name
