"""`docs/networks.md` says which families of methods work with which source of networks; here each cell is tried."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from document import DOCS

import sightline
from network_files import SIDE, conv_net, onnx_file, openvino_file, script_file, tflite_file
from sightline.attribution.base import Traits
from sightline.attribution.table import METHODS
from sightline.errors import LayerError, NotSupportedError
from sightline.models.catalogue import SOURCES
from sightline.models.classifier import Classifier
from sightline.testing.architectures import Tokens
from small import picture, seeded

TESTS = Path(__file__).resolve().parents[1]

FAMILIES = {
    "perturbation": "occlusion(window=8, stride=8)",
    "gradient": "integrated-gradients(steps=3)",
    "mask": "i-gos(iterations=2)",
    "relevance": "lrp",
    "activation": "grad-cam",
    "attention": "attention-rollout",
    "concepts": "deep-feature-factorisation",
    "combined": "guided-grad-cam",
}
"""One method of each family."""

WORDS = {
    "yes": "",
    "no graph": "is forward-only",
    "no layers": "is a function without layers|no layer of this network lies on a grid",
    "no rule": "(propagation|rule) is not defined for",
    "transformers": "no attention between tokens",
    "no attention": "no attention between tokens",
}
"""What a cell says, and the words of the refusal that it stands for."""


def table() -> dict[str, dict[str, str]]:
    """The table of the page: source → family → cell."""
    text = (DOCS / "networks.md").read_text("utf-8")
    part = text.split("## What works with what")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in part.splitlines() if line[:1] == "|"]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


class Averages:
    """An object with `predict_proba`."""

    def predict_proba(self, pictures: np.ndarray) -> np.ndarray:
        share = pictures[:, :, :8, :8].mean((1, 2, 3)) / 2
        return np.stack([share, 1 - share], 1)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A classifier behind HTTP."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = io.BytesIO(self.rfile.read(int(self.headers["Content-Length"])))
            with torch.no_grad():
                scores = conv_net()(torch.from_numpy(np.load(body, allow_pickle=False)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"scores": scores.tolist()}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def from_file(file: Path, make: Callable[[Path], Any]) -> Classifier:
    make(file)
    return sightline.load(str(file))


def not_converted(folder: Path) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sightline.models.files.onnx_torch.installed", lambda _: False)
        return from_file(folder / "n.onnx", onnx_file)


def exported_transformer(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(seeded(Tokens(prefix=1)), (torch.zeros(1, 3, SIDE, SIDE),), str(file), dynamo=False)


def torchvision_file(folder: Path) -> Classifier:
    from sightline.models.sources.torchvision import import_torchvision

    network = import_torchvision().models.squeezenet1_1(weights=None)
    torch.save(network.state_dict(), folder / "w.pth")
    return sightline.load("torchvision/squeezenet1_1", weights=folder / "w.pth")


def torchvision_transformer(_: Path) -> Classifier:
    from sightline.models.sources.torchvision import import_torchvision

    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 16, "num_classes": 4}
    return sightline.wrap(import_torchvision().models.VisionTransformer(image_size=SIDE, patch_size=4, **sizes))


def timm_file(folder: Path, name: str) -> Classifier:
    from sightline.models.sources.torchvision import import_torchvision

    import_torchvision()
    import timm

    torch.save(timm.create_model(name).state_dict(), folder / "w.pth")
    return sightline.load(f"timm/{name}", weights=folder / "w.pth")


def hub_folder(folder: Path, *, transformer: bool) -> Classifier:
    import transformers as hf

    if transformer:
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        network = hf.ViTForImageClassification(hf.ViTConfig(**sizes, image_size=SIDE, patch_size=4))
    else:
        config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        network = hf.ResNetForImageClassification(config)
    network.save_pretrained(folder)
    hf.ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return sightline.load(f"hf/{folder}")


def clip_folder(folder: Path) -> Classifier:
    import transformers as hf

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    hf.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(words), "bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1}
    vision = {**sizes, "image_size": SIDE, "patch_size": 4}
    hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    hf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE).save_pretrained(folder)
    return sightline.load(f"hf-clip/{folder}", labels=["cat", "dog"])


def keras_file(folder: Path) -> Classifier:
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    layers = keras.layers
    parts = [layers.Conv2D(6, 3, activation="relu"), layers.Conv2D(8, 3, strides=2), layers.ReLU()]
    ends = [layers.GlobalAveragePooling2D(), layers.Dense(4)]
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), *parts, *ends]).save(folder / "n.keras")
    return sightline.load(str(folder / "n.keras"))


def factory(folder: Path) -> Classifier:
    code = "import sys; sys.path.insert(0, {!r})\nfrom network_files import conv_net as make\n"
    (folder / "own_net.py").write_text(code.format(str(TESTS)))
    return sightline.load(f"{folder / 'own_net.py'}:make")


Maker = Callable[[Path], Classifier]

MAKERS: dict[str, tuple[Maker, int, Maker | None]] = {
    "`demo`, `demo/cheat`": (lambda _: sightline.load("demo/cheat"), 128, None),
    "`torchvision/NAME`": (torchvision_file, 64, torchvision_transformer),
    "`timm/NAME`": (lambda folder: timm_file(folder, "test_resnet"), 64, lambda folder: timm_file(folder, "test_vit")),
    "`hf/ID-or-FOLDER`": (
        lambda folder: hub_folder(folder, transformer=False), SIDE, lambda folder: hub_folder(folder, transformer=True)
    ),
    "`hf-clip/ID-or-FOLDER`": (clip_folder, SIDE, None),
    "`keras/NAME`, `FILE.keras`": (keras_file, SIDE, None),
    "`MODULE:FACTORY`": (factory, SIDE, None),
    "your own `nn.Module`": (
        lambda _: sightline.wrap(conv_net()), SIDE, lambda _: sightline.wrap(seeded(Tokens(prefix=1)))
    ),
    "`FILE.onnx`, converted": (
        lambda folder: from_file(folder / "n.onnx", onnx_file), SIDE,
        lambda folder: from_file(folder / "n.onnx", exported_transformer),
    ),
    "`FILE.onnx`, not converted": (not_converted, SIDE, None),
    "`FILE.xml`": (lambda folder: from_file(folder / "n.xml", openvino_file), SIDE, None),
    "`FILE.tflite`": (lambda folder: from_file(folder / "n.tflite", tflite_file), SIDE, None),
    "`FILE.torchscript`": (lambda folder: from_file(folder / "n.torchscript", script_file), SIDE, None),
    "a program of `torch.export`": (
        lambda _: sightline.wrap(torch.export.export(conv_net(), (torch.zeros(1, 3, SIDE, SIDE),))), SIDE, None
    ),
    "an object with `predict_proba`": (lambda _: sightline.wrap(Averages()), SIDE, None),
    "your own function": (lambda _: sightline.wrap(lambda pixels: conv_net()(pixels).detach()), SIDE, None),
}  # fmt: skip


def tried(classifier: Classifier, family: str, side: int) -> str:
    """What a method of the family says of this network: nothing where it gives a map."""
    try:
        maps = METHODS.make(FAMILIES[family])(classifier, picture(side, side), 1)
    except (NotSupportedError, LayerError) as error:
        return str(error)
    assert torch.isfinite(maps.values).all()
    return ""


def check(cells: dict[str, str], classifier: Classifier, side: int) -> None:
    """Every family is tried, and says what its cell says."""
    for family in FAMILIES:
        said, cell = tried(classifier, family, side), cells[family]
        assert "\n" not in said
        assert bool(said) == (cell != "yes"), (family, cell, said)
        assert re.search(WORDS[cell], said), (family, cell, said)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("source", MAKERS)
def test_every_cell_is_what_the_code_does(source: str, tmp_path: Path) -> None:
    make, side, transformer = MAKERS[source]
    cells = table()[source]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        check(cells, make(tmp_path), side)
        assert (transformer is not None) == (cells["attention"] == "transformers")
        if transformer is not None:
            network = transformer(tmp_path)
            size = network.preparation.crop if network.preparation else None
            assert tried(network, "attention", size[0] if size else SIDE) == ""


def test_a_classifier_behind_http(address: str) -> None:
    check(table()["`http://ADDRESS`"], sightline.load(address), SIDE)


def test_no_source_and_no_family_is_left_out() -> None:
    rows = table()
    assert set(rows) == {*MAKERS, "`http://ADDRESS`"}
    named = " ".join(rows)
    assert [source.name for source in SOURCES if f"`{source.name}`" not in named] == []
    assert {method.traits.family for method in METHODS.values() if isinstance(method.traits, Traits)} == set(FAMILIES)
    assert all(list(cells) == list(FAMILIES) for cells in rows.values())
    assert {METHODS.make(spec).traits.family for spec in FAMILIES.values()} == set(FAMILIES)


def test_a_wrong_cell_is_found(tmp_path: Path) -> None:
    cells = table()["`FILE.xml`"]
    classifier = from_file(tmp_path / "n.xml", openvino_file)
    for wrong in ({"gradient": "yes"}, {"perturbation": "no graph"}, {"gradient": "no layers"}):
        with pytest.raises(AssertionError):
            check({**cells, **wrong}, classifier, SIDE)
