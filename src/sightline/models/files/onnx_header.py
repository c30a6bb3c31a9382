"""What an ONNX file says of itself, read before anything is run: its input, its outputs, where its weights are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline.errors import ModelError, unknown
from sightline.models.files.port import Port, port_of
from sightline.models.heads import Head
from sightline.models.sources.base import first_line, import_extra

_HANDS_ON = ("Identity", "Reshape", "Flatten", "Squeeze", "Cast", "Transpose", "DequantizeLinear", "QuantizeLinear")
_SCORES = ("logits", "scores", "output", "probabilities", "prob")


def read_header(file: Path) -> tuple[Any, list[Path]]:
    """The file as onnx's `ModelProto`, without the weights that lie beside it, and the files that hold those.

    Raises:
        MissingExtraError: onnx is not installed.
        ModelError: no ONNX file, or weights that do not lie in the file's own folder.
    """
    onnx = import_extra("onnx", "onnx", f"the network {file}")
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception as error:
        # protobuf fails on foreign bytes in its own ways (DecodeError, ValueError, RuntimeError).
        raise ModelError(f"{file} is damaged or no ONNX file: {first_line(error)}") from error
    if not model.graph.node or not model.opset_import:
        raise ModelError(f"{file} is damaged or no ONNX file: it holds no graph")
    beside: dict[Path, None] = {}
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            place = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
            beside[_checked_place(file, place)] = None
    return model, list(beside)


def input_port(model: Any, file: Path) -> Port:
    """The one input that takes pictures.

    Raises:
        ModelError: several inputs, or one that takes no pictures.
    """
    from onnx import helper

    held = {tensor.name for tensor in model.graph.initializer}  # of old files every weight is an input as well
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(
            f"{file} takes {len(inputs)} inputs ({names}), expected one of pictures: write a function from pixels to "
            "scores that calls it, and give it to sightline.wrap"
        )
    kind = inputs[0].type.tensor_type
    shape = [side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else None for side in kind.shape.dim]
    numbers = str(helper.tensor_dtype_to_np_dtype(kind.elem_type)) if kind.elem_type else "nothing"
    return port_of(inputs[0].name, shape, numbers)


def output_name(names: list[str], wanted: str | int | None, what: str) -> str:
    """The output that holds the scores: the only one, the one that was asked for, or the one called logits.

    Raises:
        ModelError: no such output, or several of which none is known to hold the scores.
    """
    if wanted is not None:
        if isinstance(wanted, int) or (wanted not in names and wanted.isdigit()):
            if not 0 <= int(wanted) < len(names):
                raise ModelError(f"{what} has no output {wanted}: it has {len(names)}")
            return names[int(wanted)]
        if wanted not in names:
            raise ModelError(unknown(f"output of {what}:", wanted, names))
        return wanted
    if len(names) == 1:
        return names[0]
    if known := [name for word in _SCORES for name in names if name.lower() == word]:
        return known[0]
    raise ModelError(
        f"{what} has several outputs ({', '.join(names[:8])}): say which holds the scores with output=NAME"
    )


def head_of(model: Any, output: str) -> Head:
    """What the scores mean, from the node that makes them; `auto` where it does not tell."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(output)
    while node is not None and node.op_type in _HANDS_ON:
        node = makers.get(node.input[0])
    if node is not None and node.op_type == "Softmax":
        return "probabilities"
    if node is None or node.op_type != "Sigmoid":
        return "auto"
    value = next((one for one in model.graph.output if one.name == output), None)
    sides = [side.dim_value for side in value.type.tensor_type.shape.dim] if value is not None else []
    if len(sides) < 2 or not sides[1]:
        return "auto"
    return "binary-probability" if sides[1] == 1 else "independent-probabilities"


def _checked_place(file: Path, place: str) -> Path:
    """Refuse weights outside of the folder, whether by the path itself or by a link in it."""
    folder = file.resolve().parent
    target = (folder / place).resolve()
    bad = not place or Path(place).is_absolute() or ".." in Path(place).parts or "\\" in place or ":" in place
    if bad or not target.is_relative_to(folder):
        raise ModelError(f"{file} is refused: it asks for weights at {place!r}, outside of its own folder")
    if not target.is_file():
        raise ModelError(f"{file} needs the file {place!r} beside it, which holds its weights")
    return target


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor anywhere in a model: initialisers, attributes, graphs within graphs, functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else (value,):
                yield from _tensors(one)
