"""Networks in files that OpenVINO runs: its own (`.xml` beside `.bin`) and TensorFlow Lite's (`.tflite`), also int8.

Forward-only. An int8 network is run in its integers; pixels are rounded to them as the file says
(`sightline.models.files.port`), and scores are what the file's integers stand for.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.errors import ModelError
from sightline.models.classifier import Classifier
from sightline.models.files.onnx_header import output_name
from sightline.models.files.openvino_core import core
from sightline.models.files.place import existing, refused_weights, sha256_of_files
from sightline.models.files.port import Array, Port, port_of
from sightline.models.files.program import Infer, Program
from sightline.models.files.tflite_header import Held, read_ends
from sightline.models.heads import Head
from sightline.models.sources.base import Asked, classifier_from, first_line, import_extra

_HANDS_ON = ("Convert", "FakeQuantize", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Multiply", "Subtract")
_PLAIN = Held("float32")


def load(asked: Asked) -> Classifier:
    """The network in this file.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        ModelError: no such file, one that OpenVINO cannot read, or a network that takes no pictures.
    """
    file = existing(asked.rest)
    if asked.weights is not None:
        raise refused_weights(file)
    import_extra("openvino", "fast", f"the network {file}")
    lite = file.suffix.lower() == ".tflite"
    files = [file] if lite else [file, _weights_of(file)]
    inputs, outputs = read_ends(file) if lite else ([], [])
    model = _read(file)
    port = _port(model, file, inputs)
    names = [_name(end, place) for place, end in enumerate(model.outputs)]
    wanted = names.index(output_name(names, asked.output, str(file)))
    held = outputs[wanted] if wanted < len(outputs) else _PLAIN
    program, alone = Program(port, _runtime(file, model, wanted), held.scale, held.zero).settled()
    preparation, assumed = port.preparation()
    head = _head(model.outputs[wanted])
    classifier = classifier_from(asked, program, preparation=preparation, head=head, assumed=assumed)
    notes = [f"run by {_version()}, forward-only", *([f"asked about {alone}"] if alone else [])]
    if held.scale != 1:
        notes.append(f"its scores are integers: they come in steps of {held.scale:.3g}, and a map shows no finer one")
    return replace(
        classifier,
        notes=(*notes, *classifier.notes),
        weights_sha256=sha256_of_files(files),
        forward_only=f"{file.suffix} files are run by OpenVINO, through which no gradient passes",
    )


def _weights_of(file: Path) -> Path:
    weights = file.with_suffix(".bin")
    if not weights.is_file():
        raise ModelError(f"{file} needs {weights.name} beside it, which holds its weights")
    return weights


def _read(file: Path) -> Any:
    try:
        return core().read_model(str(file))
    except RuntimeError as error:
        raise ModelError(f"{file} cannot be read by OpenVINO: {_reason(error)}") from error


def _port(model: Any, file: Path, inputs: list[Held]) -> Port:
    if len(model.inputs) != 1:
        names = ", ".join(_name(end, place) for place, end in enumerate(model.inputs))
        raise ModelError(
            f"{file} takes {len(model.inputs)} inputs ({names}), expected one of pictures: write a function from "
            "pixels to scores that calls it, and give it to sightline.wrap"
        )
    given = model.inputs[0]
    if not given.partial_shape.rank.is_static:
        raise ModelError(f"{file} does not say what shape its input has: write a function that calls it")
    shape = [side.get_length() if side.is_static else None for side in given.partial_shape]
    held = inputs[0] if inputs else _PLAIN
    return port_of(_name(given, 0), shape, str(given.element_type.to_dtype()), held.scale, held.zero)


def _runtime(file: Path, model: Any, output: int) -> Infer:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1}
    try:
        request = core().compile_model(model, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise ModelError(f"{file} cannot be run by OpenVINO: {_reason(error)}") from error

    one_at_a_time = threading.Lock()  # a request is busy while it answers, and its memory is written into again

    def infer(batch: Array) -> Array:
        try:
            with one_at_a_time:
                return np.array(request.infer([batch])[output])
        except RuntimeError as error:
            shape = "×".join(map(str, batch.shape))
            raise ModelError(f"{file} fails on a batch of {shape}: {_reason(error)}") from error

    return infer


def _head(output: Any) -> Head:
    """What the scores mean, from the last operation past those that only reshape or round."""
    node = output.node
    while node.get_type_name() in ("Result", *_HANDS_ON):
        node = node.input_value(0).get_node()
    kind, shape = node.get_type_name(), output.partial_shape
    if kind == "Softmax":
        return "probabilities"
    if kind != "Sigmoid" or shape.rank.is_dynamic or len(shape) < 2 or shape[1].is_dynamic:
        return "auto"
    return "binary-probability" if shape[1].get_length() == 1 else "independent-probabilities"


def _name(end: Any, place: int) -> str:
    """A name of an input or output; its place where it has none."""
    return min(end.names, key=len) if end.names else str(place)


def _version() -> str:
    from importlib import metadata

    return f"OpenVINO {metadata.version('openvino')}"


def _reason(error: BaseException) -> str:
    """What OpenVINO says, without the lines that say where in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '", "While "))]
    return (told or lines or [first_line(error)])[0][:200]
