"""A network as an OpenVINO program: forward-only, on a CPU, in float32 or bfloat16.

`openvino.convert_model` is not used: it runs the network several times to check its own trace, which costs most of its
time (ResNet-50: 2.6 s; 0.7 s as done here), and reports to its maker's statistics server. What it calls in the end is
called directly, and the check of the numbers is ours (`sightline.passes.runtimes.question`).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import metadata, util
from typing import Any, Literal, cast

import torch
from torch import nn

from sightline.models.classifier import Classifier
from sightline.models.files.openvino_core import core, loaded
from sightline.models.taps import capture
from sightline.types import Pixels, Scores

__all__ = ["Numbers", "Program", "compiled", "converted", "has_bfloat16", "installed", "loaded", "version"]

Numbers = Literal["f32", "bf16"]

_TRACED = 3  # pictures in the trace: a number of its own, so that a batch size built into the network shows


def installed() -> bool:
    """Whether OpenVINO is there; nothing is imported."""
    return "openvino" in sys.modules or util.find_spec("openvino") is not None


@cache
def version() -> str:
    """As in `openvino 2026.4.1`."""
    return f"openvino {metadata.version('openvino')}"


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Program:
    """A compiled network: `b c h w` float32 → `b k` float32, for any number of pictures of one size.

    The weights are its own copy: it neither sees a later change of the network nor keeps the network alive.

    Args:
        classifier: the network.
        pixels: `b c h w`, of the size that it will be asked about.
        numbers: what is computed in.
        layer: the name of a module whose output, the first tensor of it, is wanted beside the scores.

    Raises:
        ValueError: the number of pictures is a constant in the network, or the module does not run exactly once.
    """

    def __init__(self, classifier: Classifier, pixels: Pixels, numbers: Numbers, layer: str | None = None) -> None:
        model = _model(_ScoresOnly(classifier) if layer is None else _ScoresAndLayer(classifier, layer), pixels)
        self._request = compiled(model, numbers)

    def __call__(self, pixels: Pixels) -> Scores:
        return self._run(pixels)[0]

    def with_layer(self, pixels: Pixels) -> tuple[Scores, torch.Tensor]:
        """Scores, and what the layer gives, as its module does."""
        scores, output = self._run(pixels)
        return scores, output

    def _run(self, pixels: Pixels) -> list[torch.Tensor]:
        found = self._request.infer([pixels.detach().float().contiguous().numpy()], share_inputs=True)
        return [torch.from_numpy(found[place]) for place in range(len(found))]


def compiled(model: Any, numbers: Numbers) -> Any:
    """What runs a model, with as many threads as torch has now."""
    # Pinned threads would stay on the cores that torch's threads, which make the masks, want as well.
    settings = {
        "INFERENCE_PRECISION_HINT": numbers,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return core().compile_model(model, "CPU", settings).create_infer_request()


def converted(module: nn.Module, given: Sequence[torch.Tensor]) -> Any:
    """A module as OpenVINO's model, by a trace of one pass over these inputs."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), torch.autocast("cpu", enabled=False), warnings.catch_warnings():
        # It warns that tracing grows old, and of every shape that Python looked at: shapes are the same in all batches.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, tuple(given), check_trace=False, strict=False)
        decoder = TorchScriptPythonDecoder(traced, example_input=tuple(given))
        reader = FrontEndManager().load_by_framework("pytorch")
        return reader.convert(reader.load(decoder))


def _model(network: nn.Module, pixels: Pixels) -> Any:
    model = converted(network, [pixels[:1].float().repeat(_TRACED, 1, 1, 1)])
    model.reshape([-1, *pixels.shape[1:]])
    for output in model.outputs:
        shape = output.partial_shape
        if shape.rank.is_static and shape.rank.get_length() > 0 and shape[0].is_static:
            # Run with another number, such a program does not refuse: it reads beyond its memory.
            raise ValueError("its forward takes the number of pictures for a constant, such as len(x) for x.shape[0]")
    return model


class _ScoresOnly(nn.Module):
    """The network with nothing but its scores as output, whatever else it returns."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.training = False
        self.network = classifier.network
        self._raw_scores = classifier.raw_scores

    def forward(self, pixels: Pixels) -> Scores:
        return self._raw_scores(pixels)


class _ScoresAndLayer(_ScoresOnly):
    """The network with its scores and what a layer gave on the way."""

    def __init__(self, classifier: Classifier, layer: str) -> None:
        super().__init__(classifier)
        self._layer = layer

    def forward(self, pixels: Pixels) -> tuple[Scores, torch.Tensor]:  # type: ignore[override]
        with capture(cast(nn.Module, self.network), [self._layer]) as found:
            scores = self._raw_scores(pixels)
        calls = found[self._layer]
        if len(calls) != 1:
            raise ValueError(f"layer {self._layer!r} runs {len(calls)} times in one pass")
        return scores, calls[0]
