"""Networks in files: their scores and maps are those of the network that was saved, or one line says why not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import sightline
from network_files import (
    CLASSES,
    SIDE,
    conv_net,
    matlab_file,
    onnx_file,
    openvino_file,
    script_file,
    tensorflow_file,
    tflite_file,
)
from sightline.attribution.table import METHODS
from sightline.errors import MissingExtraError, ModelError, NotSupportedError
from sightline.models.classifier import Classifier
from sightline.models.files import onnx_torch
from sightline.passes.passes import Passes
from small import close, picture

load = sightline.load


def refused(says: str, name: Path | str, **options: object) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(ModelError, match=says) as caught:
        load(str(name), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def scores(classifier: Classifier, pixels: torch.Tensor) -> torch.Tensor:
    with Passes(classifier, runtime="eager") as passes:
        return passes.scores(pixels)


def probabilities(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: network(x).softmax(1)


def flat(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: network(x - 0.4).flatten(1)


MAKERS: dict[str, Callable[[Path], Callable[[torch.Tensor], torch.Tensor]]] = {
    **{f"opset{opset}.onnx": lambda file, opset=opset: onnx_file(file, opset) for opset in (7, 8, 11, 13, 17)},  # type: ignore[misc]
    "softmax.onnx": lambda file: probabilities(onnx_file(file, 11, softmax=True)),
    "channels-last.onnx": lambda file: onnx_file(file, last="channels last"),
    **{
        f"matlab{opset}-softmax.onnx": lambda file, opset=opset: flat(matlab_file(file, opset))  # type: ignore[misc]
        for opset in (8, 9, 11, 13)
    },
    "tensorflow.onnx": tensorflow_file,
    "any-batch.onnx": lambda file: onnx_file(file, batch="b"),
    "any-size.onnx": lambda file: onnx_file(file, batch="b", size=None),
    "batch-of-4.onnx": lambda file: onnx_file(file, batch=4),
    "batch-built-in.onnx": lambda file: onnx_file(file, batch="b", fixed=True),
    "double.onnx": lambda file: onnx_file(file, numbers="float64"),
    "network.xml": openvino_file,
    "softmax.xml": lambda file: probabilities(openvino_file(file, probabilities=True)),
    "traced.pt": script_file,
    "scripted.torchscript": lambda file: script_file(file, traced=False),
    "batch-built-in.pt": lambda file: script_file(file, fixed=True),
}


@pytest.mark.parametrize("name", MAKERS)
def test_scores_are_those_of_the_network_that_was_saved(name: str, tmp_path: Path) -> None:
    expected = MAKERS[name](tmp_path / name)
    pixels = picture(SIDE, SIDE, 5)
    with torch.no_grad():
        wanted = expected(pixels)
    found = load(str(tmp_path / name))
    assert torch.allclose(scores(found, pixels), wanted, atol=2e-6)
    assert len(found.weights_sha256 or "") == 64
    assert found.head == ("probabilities" if "softmax" in name else "auto")
    assert any("run by" in note for note in found.notes)
    if name.endswith(".onnx"):
        assert found.network is not None, found.forward_only
    assert any("one picture at a time" in note for note in found.notes) == ("built-in" in name)
    assert not torch.allclose(scores(found, pixels.flip(1)), wanted, atol=1e-3)  # the order of colours matters


def test_weights_under_a_second_name_are_converted(tmp_path: Path) -> None:
    """torch's older exporter writes equal weights once, and an Identity for every other use (MobileNetV3's zeros)."""
    import onnx
    from onnx import helper

    file = tmp_path / "net.onnx"
    expected = onnx_file(file, 13)
    model = onnx.load(str(file))
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    names = [helper.make_node("Identity", [conv.input[2]], ["one"]), helper.make_node("Identity", ["one"], ["two"])]
    conv.input[2] = "two"
    nodes = [*names, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(file))
    found, pixels = load(str(file)), picture(SIDE, SIDE, 2)
    assert found.network is not None, found.forward_only
    with torch.no_grad():
        assert torch.allclose(scores(found, pixels), expected(pixels), atol=2e-6)


@pytest.mark.parametrize(
    "method", ["gradient", "guided-backpropagation", "lrp", "grad-cam", "occlusion(window=4,stride=4)"]
)
@pytest.mark.parametrize("name", ["opset8.onnx", "tensorflow.onnx", "channels-last.onnx", "batch-built-in.onnx"])
def test_maps_of_a_converted_network_are_those_of_the_network(name: str, method: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path / name)
    pixels = picture(SIDE, SIDE, 2)
    made = METHODS.make(method)
    mine = made(load(str(tmp_path / name)), pixels, [1, 2])
    assert close(mine.values, made(conv_net(), pixels, [1, 2]).values, 1e-4)
    assert not close(mine.values, made(conv_net(), pixels, [2, 1]).values, 1e-2)


def test_a_conversion_that_differs_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx2torch

    real = onnx2torch.convert

    def wrong(model: object) -> nn.Module:
        network = real(model)
        with torch.no_grad():
            next(network.parameters()).mul_(1.01)
        return network

    onnx_file(tmp_path / "n.onnx")
    monkeypatch.setattr(onnx2torch, "convert", wrong)
    found = load(str(tmp_path / "n.onnx"))
    assert found.network is None
    assert "gives other scores" in (found.forward_only or "")
    assert torch.allclose(scores(found, picture(SIDE, SIDE)), conv_net()(picture(SIDE, SIDE)), atol=2e-6)
    with pytest.raises(NotSupportedError, match=r"forward-only: its conversion to torch gives other scores.*occlusion"):
        METHODS.make("grad-cam")(found, picture(SIDE, SIDE), 0)
    assert METHODS.make("occlusion(window=4, stride=4)")(found, picture(SIDE, SIDE), 0).values.abs().max() > 0


def test_without_a_converter_a_network_is_forward_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_file(tmp_path / "n.onnx")
    real = onnx_torch.installed
    monkeypatch.setattr(onnx_torch, "installed", lambda name: name != "onnx2torch" and real(name))
    found = load(str(tmp_path / "n.onnx"))
    assert "needs onnx2torch" in (found.forward_only or "")


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_file(tmp_path / "n.onnx")
    openvino_file(tmp_path / "n.xml")
    gone = ("onnx", "onnxruntime", "openvino")
    monkeypatch.setattr("sightline.models.sources.base.installed", lambda name: name not in gone)
    for name, extra in (("n.onnx", "onnx"), ("n.xml", "fast")):
        with pytest.raises(MissingExtraError, match=rf"sightline\[{extra}\]"):
            load(str(tmp_path / name))


# Integers


@pytest.mark.parametrize(
    ("numbers", "scale", "zero"), [("uint8", 1 / 127.5, 127), ("int8", 0.5, -128), ("int8", 1.0, 3)]
)
def test_every_byte_of_a_picture_is_the_integer_that_the_file_wants(
    numbers: str, scale: float, zero: int, tmp_path: Path
) -> None:
    tflite_file(tmp_path / "n.tflite", numbers=numbers, scale=scale, zero=zero)
    found = load(str(tmp_path / "n.tflite"))
    levels = np.arange(SIDE * SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)
    pixels, _ = found.preparation.prepare(sightline.images.load.load(levels))  # type: ignore[union-attr]
    offset = 128 if numbers == "int8" else 0
    sent = found.function.port.array(pixels)  # type: ignore[attr-defined]
    assert np.array_equal(sent[0], (levels.astype(int) - offset).astype(numbers))
    wanted = (levels.astype(float) - offset - zero) * scale
    assert np.allclose(scores(found, pixels)[0], wanted.mean((0, 1)), atol=1e-4)
    assert found.notes[-1].startswith("the file does not say how pictures are prepared: given as RGB bytes")


def test_an_onnx_file_of_bytes_is_forward_only_and_right(tmp_path: Path) -> None:
    network = onnx_file(tmp_path / "n.onnx", numbers="uint8")
    found = load(str(tmp_path / "n.onnx"))
    pixels = (picture(SIDE, SIDE, 3) * 255).round()
    assert torch.allclose(scores(found, pixels), network(pixels), rtol=1e-4)
    with pytest.raises(NotSupportedError, match=r"its input is uint8"):
        METHODS.make("gradient")(found, pixels, 0)


def test_floats_of_tensorflow_lite(tmp_path: Path) -> None:
    tflite_file(tmp_path / "n.tflite")
    pixels = picture(SIDE, SIDE, 3)
    assert torch.allclose(scores(load(str(tmp_path / "n.tflite")), pixels), pixels.mean((2, 3)), atol=1e-6)


# What the file declares


def test_pictures_of_another_size_are_refused_before_the_library_fails(tmp_path: Path) -> None:
    onnx_file(tmp_path / "n.onnx")
    with pytest.raises(ModelError, match=r"takes pictures of 3×16×16 .*got 3×20×16"):
        scores(load(str(tmp_path / "n.onnx")), picture(20, SIDE))
    result = sightline.explain(str(tmp_path / "n.onnx"), Image.new("RGB", (40, 30), "red"), "gradient")
    assert result.map.shape == (SIDE, SIDE)  # type: ignore[union-attr]
    assert any("cut to 16 × 16" in word for word in result.warnings)  # type: ignore[union-attr]


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    network = onnx_file(tmp_path / "n.onnx", extra=True)
    line = refused("several outputs.*output=NAME", tmp_path / "n.onnx")
    name = line.split("(")[1].split(")")[0].split(", ")[-1]
    for output in (name, 1):
        assert scores(load(str(tmp_path / "n.onnx"), output=output), picture(SIDE, SIDE)).shape == (1, CLASSES)
    found = load(str(tmp_path / "n.onnx"), output=name)
    assert torch.allclose(scores(found, picture(SIDE, SIDE)), network(picture(SIDE, SIDE)), atol=2e-6)
    refused("no output 7", tmp_path / "n.onnx", output=7)
    refused("unknown output", tmp_path / "n.onnx", output="zzz")


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ([[1, 3, 8, 3]], "does not show where the channels are"), ([["b", "c", "h", "w"]], "any×any×any×any"),
        ([[1, 10]], "no batch of pictures"), ([[1, 3, 8, 8], [1, 4]], "takes 2 inputs"),
    ],
)  # fmt: skip
def test_an_input_that_is_no_picture_is_refused(shapes: list[list[object]], says: str, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info(f"i{n}", TensorProto.FLOAT, shape) for n, shape in enumerate(shapes)]
    nodes = [helper.make_node("Flatten", ["i0"], ["o"], axis=1)]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "n.onnx")
    refused(says, tmp_path / "n.onnx")


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".tflite", ".pt", ".torchscript"])
@pytest.mark.parametrize("content", [b"", b"junk", bytes(range(256)) * 20])
def test_a_damaged_file_is_refused_in_one_line(suffix: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"n{suffix}").write_bytes(content)
    (tmp_path / "n.bin").write_bytes(b"")
    refused("damaged|empty|cannot be read|no TorchScript", tmp_path / f"n{suffix}")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    onnx_file(tmp_path / "n.onnx")
    script_file(tmp_path / "n.pt")
    tflite_file(tmp_path / "n.tflite")
    for name in ("n.onnx", "n.pt", "n.tflite"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        refused("damaged|no TorchScript|cannot be", tmp_path / name)


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".tflite", ".pt", ".pkl", ".safetensors"])
def test_a_file_that_is_not_there(suffix: str, tmp_path: Path) -> None:
    refused("no file", tmp_path / f"n{suffix}")


def test_weights_have_no_place_in_a_file_with_its_own(tmp_path: Path) -> None:
    onnx_file(tmp_path / "n.onnx")
    openvino_file(tmp_path / "n.xml")
    script_file(tmp_path / "n.pt")
    for name in ("n.onnx", "n.xml", "n.pt"):
        refused("holds its own weights", tmp_path / name, weights=tmp_path / "w.pth")
    (tmp_path / "n.bin").unlink()
    refused(r"needs n\.bin beside it", tmp_path / "n.xml")


# Weights beside an ONNX file


def with_weights_beside(file: Path, place: str) -> None:
    """The small network with its weights in `weights.bin`, which its file says lie at `place`."""
    import onnx

    onnx_file(file, 17)
    model = onnx.load(str(file))
    onnx.save(model, str(file), save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = onnx.load(str(file), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = place if entry.key == "location" else entry.value
    file.write_bytes(model.SerializeToString())


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    with_weights_beside(tmp_path / "n.onnx", "weights.bin")
    found = load(str(tmp_path / "n.onnx"))
    assert torch.allclose(scores(found, picture(SIDE, SIDE)), conv_net()(picture(SIDE, SIDE)), atol=2e-6)
    assert found.network is not None
    before = found.weights_sha256
    (tmp_path / "weights.bin").write_bytes((tmp_path / "weights.bin").read_bytes()[::-1])
    assert load(str(tmp_path / "n.onnx")).weights_sha256 != before
    (tmp_path / "weights.bin").unlink()
    refused(r"needs the file 'weights\.bin' beside it", tmp_path / "n.onnx")


@pytest.mark.parametrize(
    "place", ["../weights.bin", "a/../../weights.bin", "ABSOLUTE", "link/weights.bin", "link.bin", ""]
)
def test_weights_outside_of_the_folder_are_refused_before_anything_is_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    place = str(tmp_path / "weights.bin") if place == "ABSOLUTE" else place
    with_weights_beside(inside / "n.onnx", place)
    shutil.move(inside / "weights.bin", tmp_path / "weights.bin")
    (inside / "link").symlink_to(tmp_path)
    (inside / "link.bin").symlink_to(tmp_path / "weights.bin")
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: pytest.fail("it was opened"))
    refused("refused: it asks for weights at .* outside of its own folder", inside / "n.onnx")


# TorchScript and torch.export


class Writes(nn.Module):
    """Writes a file where its program is run."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        torch.save(pixels, self.place)
        return pixels.mean((2, 3))


class Maps(Writes):
    """Maps a file into memory, which makes it."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3)) + torch.from_file(self.place, True, 1)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("kind", "names"), [(Writes, "save"), (Maps, "from_file")])
def test_a_program_that_touches_files_is_refused_before_it_is_opened(
    kind: type[Writes], names: str, tmp_path: Path
) -> None:
    torch.jit.save(torch.jit.script(kind(str(tmp_path / "canary"))), str(tmp_path / "n.pt"))
    refused(f"its code .* names '{names}'", tmp_path / "n.pt")
    assert not (tmp_path / "canary").exists()
    torch.jit.load(str(tmp_path / "n.pt"))(picture(4, 4))  # the broken twin: torch itself runs it
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("torch.add(x, 1)", True), ('getattr(self, "0")', True), ("ops.prim.RaiseException(x)", True),
        ("ops.quantized.linear(x)", True), ("x.save(y)", False), ("_0 = torch.save", False),
        ("ops.image.read_file(x)", False), ("o = ops", False), ("ops . image.write(x)", False),
        ('getattr(torch, "s\\x61ve")', False), ("getattr(self, name)", False), ("rpc_sync(x)", False),
        ("x : __torch__.torch.classes.tensorrt.Engine", False),
        ("x : __torch__.torch.classes.quantized.Linear", True),
    ],
)  # fmt: skip
def test_what_the_code_of_a_program_may_name(code: str, allowed: bool) -> None:
    from sightline.models.files.script_safety import _unsafe

    assert (_unsafe(code) is None) == allowed


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_program_that_answers_by_chance_is_refused(tmp_path: Path) -> None:
    network = nn.Sequential(conv_net(), nn.Dropout(0.5)).train()
    torch.jit.save(torch.jit.trace(network, picture(SIDE, SIDE), check_trace=False), str(tmp_path / "n.pt"))
    refused("answers the same pictures differently", tmp_path / "n.pt")


def test_a_program_has_gradients_and_no_layers(tmp_path: Path) -> None:
    script_file(tmp_path / "n.pt")
    found = load(str(tmp_path / "n.pt"))
    pixels = picture(SIDE, SIDE, 2)
    gradient = METHODS.make("gradient")
    assert close(gradient(found, pixels, [1, 2]).values, gradient(conv_net(), pixels, [1, 2]).values, 1e-5)
    with pytest.raises(NotSupportedError, match="a function without layers"):
        METHODS.make("grad-cam")(found, pixels, 0)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_a_programs_scores_mean_is_told_from_its_graph(tmp_path: Path) -> None:
    for last, head in ((nn.Softmax(1), "probabilities"), (nn.Sigmoid(), "independent-probabilities")):
        network = nn.Sequential(conv_net(), last)
        torch.jit.save(torch.jit.trace(network, picture(SIDE, SIDE)), str(tmp_path / "n.pt"))
        with Passes(load(str(tmp_path / "n.pt"))) as passes:
            passes.scores(picture(SIDE, SIDE, 2))
            assert passes.head == head


@pytest.mark.parametrize("name", ["any-batch.onnx", "batch-built-in.onnx", "network.xml", "traced.pt"])
def test_two_threads_get_the_scores_that_one_gets(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path / name)
    found = load(str(tmp_path / name))
    pictures = [picture(SIDE, SIDE, 2, seed) for seed in range(24)]
    alone = [scores(found, one) for one in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: scores(found, one), pictures))
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(alone, together, strict=True))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_program_that_takes_no_usual_size_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Conv2d(5, 3, 3), torch.zeros(1, 5, 8, 8)), str(tmp_path / "n.pt"))
    refused("none of these sizes: 3×224×224", tmp_path / "n.pt")


def test_programs_of_torch_export(tmp_path: Path) -> None:
    pixels = picture(SIDE, SIDE, 3)
    exported = torch.export.export(conv_net(), (pixels[:1],))
    torch.export.save(exported, tmp_path / "n.pt2")
    refused(r"torch\.export\.load unpickles", tmp_path / "n.pt2")
    found = sightline.wrap(exported)
    assert found.network.one_picture_at_a_time  # type: ignore[union-attr]
    assert torch.allclose(scores(found, pixels), conv_net()(pixels), atol=1e-6)
    gradient = METHODS.make("gradient")
    assert close(gradient(found, pixels, [0, 1, 2]).values, gradient(conv_net(), pixels, [0, 1, 2]).values)
    free = torch.export.export(conv_net(), (pixels,), dynamic_shapes=({0: torch.export.Dim("b")},))
    assert not sightline.wrap(free).network.one_picture_at_a_time  # type: ignore[union-attr]
    three = sightline.wrap(torch.export.export(conv_net(), (pixels,)))
    assert torch.allclose(scores(three, pixels[:2]), conv_net()(pixels[:2]), atol=1e-6)
    assert close(gradient(three, pixels, [0, 1, 2]).values, gradient(conv_net(), pixels, [0, 1, 2]).values)
    for one in (found, three):
        with pytest.raises(ModelError, match=rf"takes pictures of 3×{SIDE}×{SIDE} \(.*\), got 3×{SIDE + 1}×{SIDE}"):
            scores(one, picture(SIDE + 1, SIDE))
