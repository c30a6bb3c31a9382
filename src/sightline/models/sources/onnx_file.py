"""Networks in ONNX files: forward-only through ONNX Runtime, differentiable where a conversion to torch is equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.errors import ModelError
from sightline.models.classifier import Classifier
from sightline.models.files.onnx_header import head_of, input_port, output_name, read_header
from sightline.models.files.place import existing, refused_weights, sha256_of_files
from sightline.models.files.port import Array, Port
from sightline.models.files.program import Infer, Program
from sightline.models.sources.base import Asked, classifier_from, first_line, import_extra


def load(asked: Asked) -> Classifier:
    """The network in this file.

    Raises:
        MissingExtraError: onnx or ONNX Runtime is not installed.
        ModelError: no such file, no ONNX file, weights outside of its folder, or a network that takes no pictures.
    """
    file = existing(asked.rest)
    if asked.weights is not None:
        raise refused_weights(file)
    model, beside = read_header(file)
    port = input_port(model, file)
    output = output_name([value.name for value in model.graph.output], asked.output, str(file))
    program, why_alone = Program(port, runtime(file, port, output)).settled()
    from sightline.models.files.onnx_torch import Refusal, converted

    found = converted(file, model, port, output, program)
    preparation, assumed = port.preparation()
    version = import_extra("onnxruntime", "onnx", f"the network {file}").__version__
    if isinstance(found, Refusal):
        road = f"run by ONNX Runtime {version}, forward-only: {found.reason}"
        function: Any = program
    else:
        road = (
            f"run by torch, converted by onnx2torch; on {found.pictures} random pictures its scores were those of ONNX "
            f"Runtime {version} to within {found.apart:.0e} of their spread"
        )
        function, why_alone = found.network, found.alone
    classifier = classifier_from(asked, function, preparation=preparation, head=head_of(model, output), assumed=assumed)
    notes = (road, *((f"asked about {why_alone}",) if why_alone else ()), *classifier.notes)
    reason = found.reason if isinstance(found, Refusal) else None
    return replace(classifier, notes=notes, weights_sha256=sha256_of_files([file, *beside]), forward_only=reason)


def runtime(file: Path, port: Port, output: str) -> Infer:
    """One session of ONNX Runtime on the CPU, from a batch to one of its outputs.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        ModelError: it cannot load the file.
    """
    ort = import_extra("onnxruntime", "onnx", f"the network {file}")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime has exceptions of its own for every kind of failure.
        raise ModelError(f"{file} cannot be loaded by ONNX Runtime: {first_line(error)}") from error

    def infer(batch: Array) -> Array:
        try:
            return np.asarray(session.run([output], {port.name: batch})[0])
        except Exception as error:
            # As above; what it says is passed on.
            shape = "×".join(map(str, batch.shape))
            raise ModelError(f"{file} fails on a batch of {shape}: {first_line(error)}") from error

    return infer
