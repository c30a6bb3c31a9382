"""Small networks as files of every kind, made here: nothing is downloaded, no other framework is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from small import seeded

SIDE = 16
CLASSES = 4


def conv_net(classes: int = CLASSES) -> nn.Sequential:
    """Two convolutions with ReLU, average, linear: every family of methods but attention is defined on it."""
    network = seeded(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, classes),
        )
    )
    assert isinstance(network, nn.Sequential)
    return network


def onnx_file(
    file: Path, opset: int = 13, *, numbers: str = "float32", last: str = "channels first", batch: Any = 1, **more: Any
) -> nn.Sequential:
    """`conv_net` in the manner of MATLAB's exporter: weights that are inputs too, Softmax as asked, one picture.

    Args:
        file: where it goes.
        opset: 7 to 17.
        numbers: of the input, which is cast to float32.
        last: `channels last` for an input `b h w c` that is transposed first, as tf2onnx writes it.
        batch: a number, or a word for a free one.
        more: `softmax=True` for probabilities as `b k 1 1`; `size=None` for a free height and width;
            `fixed=True` for a batch of 1 that is built in although the input says it is free; `extra=True` for a
            second output.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = conv_net()
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(numbers))
    side = SIDE if more.get("size", SIDE) else "side"
    shape = [batch, side, side, 3] if last == "channels last" else [batch, 3, side, side]
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    held = [numpy_helper.from_array(weights, f"w{name}") for name, weights in state.items()]
    nodes, at = [], "data"

    def add(kind: str, *inputs: str, **attributes: Any) -> None:
        nonlocal at
        nodes.append(helper.make_node(kind, [at, *inputs], [f"v{len(nodes)}"], name=f"n{len(nodes)}", **attributes))
        at = f"v{len(nodes) - 1}"

    if numbers != "float32":
        add("Cast", to=TensorProto.FLOAT)
    if last == "channels last":
        add("Transpose", perm=[0, 3, 1, 2])
    add("Conv", "w0.weight", "w0.bias", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    add("Relu")
    add("Conv", "w2.weight", "w2.bias", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    add("Relu")
    add("GlobalAveragePool")
    if more.get("fixed"):
        held.append(helper.make_tensor("shape", TensorProto.INT64, [2], [1, 8]))
        add("Reshape", "shape")
    else:
        add("Flatten", axis=1)
    outputs = [at] if more.get("extra") else []
    add("Gemm", "w6.weight", "w6.bias", transB=1)
    if more.get("softmax"):
        add("Softmax", axis=1)
    outputs.append(at)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    inputs = [helper.make_tensor_value_info("data", kind, shape)]
    inputs += [helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)) for one in held]
    graph = helper.make_graph(nodes, "net", inputs, values, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)
    onnx.save(model, str(file))
    return network


def openvino_file(file: Path, *, probabilities: bool = False) -> nn.Sequential:
    """`conv_net` as OpenVINO IR for one picture, `.xml` with `.bin` beside it."""
    from sightline.models.files.openvino_core import core

    core()  # imports OpenVINO without its reports
    import openvino
    from openvino import opset13 as op

    network = conv_net()
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    pixels = op.parameter([1, 3, SIDE, SIDE], np.float32, name="pixels")
    at: Any = pixels
    for place, stride in (("0", 1), ("2", 2)):
        at = op.convolution(at, state[f"{place}.weight"], [stride] * 2, [1, 1], [1, 1], [1, 1])
        at = op.relu(op.add(at, state[f"{place}.bias"][None, :, None, None]))
    at = op.reduce_mean(at, np.array([2, 3]), False)
    at = op.add(op.matmul(at, state["6.weight"], False, True), state["6.bias"])
    at = op.softmax(at, 1) if probabilities else at
    openvino.save_model(openvino.Model([at], [pixels]), str(file), compress_to_fp16=False)
    return network


def tflite_file(file: Path, *, numbers: str = "float32", scale: float = 1.0, zero: int = 0) -> None:
    """A network that averages each colour over the picture, `1 h w 3` → `1 3`, as TensorFlow Lite.

    With integers the input is dequantised first, as the file's scale and zero say.
    """
    import flatbuffers

    b = flatbuffers.Builder(1024)
    types = {"float32": 0, "uint8": 3, "int8": 9, "int32": 2}

    def vector(kind: str, values: list[Any]) -> int:
        size = {"Int32": 4, "Float32": 4, "Int64": 8, "Uint8": 1, "UOffsetTRelative": 4}[kind]
        b.StartVector(size, len(values), size)
        for value in reversed(values):
            getattr(b, f"Prepend{kind}")(value)
        return int(b.EndVector())

    def table(fields: dict[int, tuple[str, Any]], size: int) -> int:
        b.StartObject(size)
        for slot, (kind, value) in fields.items():
            default = 0
            getattr(b, f"Prepend{kind}Slot")(slot, value, default)
        return int(b.EndObject())

    def tensor(name: str, shape: list[int], kind: str, buffer: int, quantised: bool = False) -> int:
        words, sides = b.CreateString(name), vector("Int32", shape)
        fields: dict[int, tuple[str, Any]] = {
            0: ("UOffsetTRelative", sides), 1: ("Int8", types[kind]), 2: ("Uint32", buffer),
            3: ("UOffsetTRelative", words),
        }  # fmt: skip
        if quantised:
            scales, zeros = vector("Float32", [scale]), vector("Int64", [zero])
            quantisation = table({2: ("UOffsetTRelative", scales), 3: ("UOffsetTRelative", zeros)}, 7)
            fields[4] = ("UOffsetTRelative", quantisation)
        return table(fields, 8)

    def operator(code: int, inputs: list[int], outputs: list[int], options: tuple[int, int] | None = None) -> int:
        given, made = vector("Int32", inputs), vector("Int32", outputs)
        fields: dict[int, tuple[str, Any]] = {
            0: ("Uint32", code), 1: ("UOffsetTRelative", given), 2: ("UOffsetTRelative", made),
        }  # fmt: skip
        if options:
            fields |= {3: ("Uint8", options[0]), 4: ("UOffsetTRelative", options[1])}
        return table(fields, 9)

    integers = numbers != "float32"
    axes = vector("Uint8", list(np.array([1, 2], np.int32).tobytes()))
    buffers = [table({}, 1), table({0: ("UOffsetTRelative", axes)}, 1)]
    tensors = [
        tensor("pixels", [1, SIDE, SIDE, 3], numbers, 0, integers),
        tensor("axes", [2], "int32", 1),
        tensor("means", [1, 3], "float32", 0),
        tensor("values", [1, SIDE, SIDE, 3], "float32", 0),
    ]
    reducer = table({}, 1)
    mean = operator(0, [3 if integers else 0, 1], [2], (27, reducer))
    operators = [operator(1, [0], [3]), mean] if integers else [mean]
    codes = [table({0: ("Int8", 40), 3: ("Int32", 40)}, 4), table({0: ("Int8", 6), 3: ("Int32", 6)}, 4)]
    parts = [vector_of(b, tensors), vector("Int32", [0]), vector("Int32", [2]), vector_of(b, operators)]
    graph = table({slot: ("UOffsetTRelative", part) for slot, part in enumerate(parts)}, 5)
    lists = [vector_of(b, codes), vector_of(b, [graph]), vector_of(b, buffers)]
    fields = {1: lists[0], 2: lists[1], 4: lists[2]}
    model = table({0: ("Uint32", 3), **{slot: ("UOffsetTRelative", part) for slot, part in fields.items()}}, 8)
    b.Finish(model, file_identifier=b"TFL3")
    file.write_bytes(bytes(b.Output()))


def vector_of(b: Any, places: list[int]) -> int:
    """A list of tables."""
    b.StartVector(4, len(places), 4)
    for place in reversed(places):
        b.PrependUOffsetTRelative(place)
    return int(b.EndVector())


def script_file(file: Path, *, fixed: bool = False, traced: bool = True) -> nn.Module:
    """`conv_net` saved by `torch.jit.save`."""
    import warnings

    network: nn.Module = _FixedBatch() if fixed else conv_net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(1, 3, SIDE, SIDE)
        made = torch.jit.trace(network, example) if traced else torch.jit.script(network)
        torch.jit.save(made, str(file))
    return network


class _FixedBatch(nn.Module):
    """Its trace holds a batch of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = conv_net()[:5], conv_net()[6]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.body(pixels).reshape(len(pixels), 8))
        return found.reshape(len(pixels), CLASSES)


def matlab_file(file: Path, opset: int) -> nn.Module:
    """A network in MATLAB's words: mean image, normalisation, LRN, dropout, convolution, `1 k 1 1` probabilities."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = seeded(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.LocalResponseNorm(5),
            nn.Dropout(0.5),
            nn.MaxPool2d(2),
            nn.Conv2d(6, CLASSES, SIDE // 2),
            nn.Softmax(1),
        )
    )
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items() if tensor.ndim}
    mean = np.full((1, 3, SIDE, SIDE), 0.4, np.float32)
    held = [numpy_helper.from_array(weights, name) for name, weights in {**state, "mean": mean}.items()]
    norm = [f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    nodes = [
        helper.make_node("Sub", ["data", "mean"], ["a"]),
        helper.make_node("Conv", ["a", "0.weight", "0.bias"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["b", *norm], ["c"], epsilon=1e-5),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("LRN", ["d"], ["e"], size=5, alpha=1e-4, beta=0.75, bias=1.0),
        helper.make_node("Dropout", ["e"], ["f"], **({"ratio": 0.5} if opset < 12 else {})),
        helper.make_node("MaxPool", ["f"], ["g"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["g", "6.weight", "6.bias"], ["h"], kernel_shape=[SIDE // 2, SIDE // 2]),
        helper.make_node("Softmax", ["h"], ["prob"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, SIDE, SIDE])]
    inputs += [helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)) for one in held]
    outputs = [helper.make_tensor_value_info("prob", TensorProto.FLOAT, [1, CLASSES, 1, 1])]
    graph = helper.make_graph(nodes, "net", inputs, outputs, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4), str(file))
    return network


def tensorflow_file(file: Path) -> nn.Module:
    """A network in the words of tf2onnx: `b h w c` in, transposed inside, the mean over `h w`, a product and a sum."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = conv_net()
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    state["6.weight"] = state["6.weight"].T.copy()
    held = [numpy_helper.from_array(weights, name) for name, weights in state.items()]
    nodes = [
        helper.make_node("Transpose", ["x:0"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a", "0.weight", "0.bias"], ["b"], kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node(
            "Conv", ["c", "2.weight", "2.bias"], ["d"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("ReduceMean", ["e"], ["f"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["f", "6.weight"], ["g"]),
        helper.make_node("Add", ["g", "6.bias"], ["Identity:0"]),
    ]
    inputs = [helper.make_tensor_value_info("x:0", TensorProto.FLOAT, ["unk__1", SIDE, SIDE, 3])]
    outputs = [helper.make_tensor_value_info("Identity:0", TensorProto.FLOAT, ["unk__2", CLASSES])]
    graph = helper.make_graph(nodes, "net", inputs, outputs, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(file))
    return network
