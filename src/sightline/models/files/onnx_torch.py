"""An ONNX network as a torch network, where that is possible and found equal on the spot.

onnx2torch makes one module of every node, so that hooks, gradients and layers work as in any network. A conversion is
used only if its scores are those of ONNX Runtime on random pictures, to within 1e-4 of their spread.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from sightline.errors import MissingExtraError, ModelError
from sightline.models.files.onnx_linear import with_linear_layers
from sightline.models.files.onnx_nodes import add_newer_nodes, with_sizes
from sightline.models.files.onnx_rewrite import rewrite
from sightline.models.files.port import Port
from sightline.models.files.program import EQUAL, Program, farthest, trial_pixels, why_alone
from sightline.models.outputs import scores_of
from sightline.models.sources.base import first_line, import_extra, installed
from sightline.models.sources.torchvision import import_torchvision
from sightline.types import Pixels, Scores

_PICTURES = 6


@dataclass(frozen=True)
class Refusal:
    """Why a network stays forward-only, in words that follow a colon."""

    reason: str


@dataclass(frozen=True, eq=False)
class Converted:
    """A conversion that was found equal.

    Attributes:
        network: takes pixels `b c h w`.
        apart: how far its scores were from the file's at most, in parts of their spread.
        pictures: on how many.
        alone: why it is asked about one picture at a time, in words; None where it is not.
    """

    network: nn.Module
    apart: float
    pictures: int
    alone: str | None


class FromFile(nn.Module):
    """The converted network behind the file's own port: pixels as everywhere, scores of one output.

    Attributes:
        one_picture_at_a_time: a batch size of 1 is built into it (`sightline.models.quiet.mixes_batch_mates`).
    """

    def __init__(self, network: nn.Module, port: Port) -> None:
        super().__init__()
        self.network = network
        self.one_picture_at_a_time = False
        self._port = port
        self._double = port.numbers == "float64"

    def forward(self, pixels: Pixels) -> Scores:
        self._port.check(pixels)
        given = pixels.permute(0, 2, 3, 1) if self._port.layout == "b h w c" else pixels
        return scores_of(self.network(given.double() if self._double else given), len(pixels))


def converted(file: Path, model: Any, port: Port, output: str, program: Program) -> Converted | Refusal:
    """The network in torch, or why there is none.

    Args:
        file: where it is, for weights that lie beside it.
        model: its header.
        port: what it takes.
        output: the one with the scores.
        program: what the conversion has to equal.
    """
    if port.integers or port.numbers == "float16":
        return Refusal(f"its input is {port.numbers}, through which no gradient passes as torch would count it")
    try:
        convert = _converter()
    except (ModelError, MissingExtraError) as error:
        return Refusal(str(error))
    whole = _whole(file, model, output)
    try:
        network = FromFile(with_linear_layers(with_sizes(convert(whole))), port).eval()
    except Exception as error:
        # Converters fail in many ways (NotImplementedError, RuntimeError, KeyError, …) on nodes they do not know.
        return Refusal(f"onnx2torch cannot convert it ({_plainly(error)})")
    return _checked(network, replace(port, batch=None), program)


def _converter() -> Callable[[Any], fx.GraphModule]:
    """onnx2torch's `convert`, which knows the nodes of newer exporters as well.

    Raises:
        MissingExtraError: it is not installed.
        ModelError: it cannot be imported.
    """
    if not installed("onnx2torch"):
        raise MissingExtraError("onnx2torch", "onnx", "its conversion to torch")
    # Its slices warn of torch 2.9; whether they are right is checked below, as everything is.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"onnx2torch\.")
    import_torchvision()  # onnx2torch imports it, and fails if that fails
    convert: Callable[[Any], fx.GraphModule] = import_extra("onnx2torch", "onnx", "its conversion to torch").convert
    add_newer_nodes()
    return convert


def _whole(file: Path, model: Any, output: str) -> Any:
    """The model with the weights that lie beside it, and the scores as its only output."""
    import onnx

    whole = copy.deepcopy(model)
    onnx.load_external_data_for_model(whole, str(file.resolve().parent))
    rewrite(whole)
    kept = [value for value in whole.graph.output if value.name == output]
    del whole.graph.output[:]
    whole.graph.output.extend(kept)
    return whole


def _checked(network: FromFile, port: Port, program: Program) -> Converted | Refusal:
    """The conversion beside the file's own program: picture by picture, and in a batch."""
    pixels = trial_pixels(port, _PICTURES, seed=1)
    theirs = program(pixels)
    try:
        with torch.no_grad():
            alone = torch.cat([network(one) for one in pixels.split(1)])
    except Exception as error:
        # Converted code is code that nobody has run before: whatever it raises is the answer.
        return Refusal(f"its conversion to torch fails ({_plainly(error)})")
    apart = farthest(alone, theirs)
    if not apart <= EQUAL:
        return Refusal(f"its conversion to torch gives other scores (by {apart:.2g} of their spread)")
    with torch.no_grad():
        why = why_alone(network, theirs, pixels)
    network.one_picture_at_a_time = why is not None
    return Converted(network, apart, len(pixels), why)


def _plainly(error: BaseException) -> str:
    """What a converter says, without the names of its classes."""
    text = first_line(error)
    if isinstance(error, KeyError):
        return f"it does not find the value {text}"
    if isinstance(error, NotImplementedError) and "operation_type='" in text:
        name = text.split("operation_type='")[1].split("'")[0]
        return f"no converter for {name} of version {text.split('version=')[1].rstrip(')')}"
    return text[:120]
