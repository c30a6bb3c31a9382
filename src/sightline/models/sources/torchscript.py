"""Programs saved by `torch.jit.save`: differentiable, without layers; opened only if their code is found harmless.

`.pt2` files of `torch.export.save` are refused: `torch.export.load` unpickles what the file tells it to
(`weights_only=False`) and lets SymPy evaluate its expressions as Python, so that opening one may run its code.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sightline.errors import ModelError
from sightline.images.prepare_from import as_preparation
from sightline.models.classifier import Classifier
from sightline.models.files.place import existing, refused_weights, sha256_of_files
from sightline.models.files.script_safety import check_safe
from sightline.models.files.scripted import Scripted
from sightline.models.sources.base import Asked, classifier_from, first_line


def load(asked: Asked) -> Classifier:
    """The program in this file, on the CPU and in evaluation mode.

    Raises:
        ModelError: no such file, no TorchScript, code that could reach beyond tensors, or a program that takes no
            pictures of a usual size.
    """
    file = existing(asked.rest)
    if file.suffix.lower() == ".pt2":
        raise ModelError(
            f"{file} is refused: torch.export.load unpickles what the file tells it to, so that opening it may run its "
            "code; if it is yours, give sightline.wrap(torch.export.load(FILE)) in Python, or export it to .onnx"
        )
    check_safe(file)
    if asked.weights is not None:
        raise refused_weights(file)
    scripted = Scripted(_opened(file), asked.output)
    port = scripted.tried(as_preparation(asked.preparation))
    preparation, assumed = port.preparation()
    side = f"{port.size[0]} × {port.size[1]}"
    assumed = assumed.replace("are prepared:", f"are prepared ({side} was tried and works):")
    classifier = classifier_from(asked, scripted, preparation=preparation, assumed=assumed)
    notes = ["a TorchScript program, run by torch; it has no layers to look at"]
    if scripted.alone:
        notes.append(f"asked about {scripted.alone}")
    return replace(
        classifier, gradients=True, weights_sha256=sha256_of_files([file]), notes=(*notes, *classifier.notes)
    )


def _opened(file: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript grows old
            program = torch.jit.load(str(file), map_location="cpu")
    except Exception as error:
        # torch's reader fails in many ways on archives of other versions and libraries (RuntimeError, ValueError, …).
        raise ModelError(f"{file} cannot be loaded by torch {torch.__version__}: {first_line(error)}") from error
    if hasattr(program, "training"):  # a frozen program has no modes
        program.eval()
    for parameter in program.parameters() if isinstance(program, torch.nn.Module) else ():
        parameter.requires_grad_(False)
    return program
