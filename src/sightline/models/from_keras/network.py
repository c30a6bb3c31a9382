"""A Keras model as a network that is explained: its graph as torch's modules, compared with the model on the spot."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

from sightline.errors import ModelError
from sightline.models.from_keras.graph import Graph, UnknownGraphError
from sightline.models.heads import Head

TOLERANCE = 1e-4
"""How far the scores may be from the model's own, relative to the largest; rounding is a hundredth of that."""
LOGITS = "the last softmax or sigmoid of the Keras model is left away: the scores that are explained are its logits"
_PICTURES = 2
_SIDE = 64  # of the pictures that an input of any size is tried with
_WAY_OUT = "wrap a function of yours that calls it, which is explained by perturbation"


def network_of(model: Any, *, head: str = "auto") -> tuple[nn.Module, Head, tuple[str, ...]]:
    """The network of a Keras model, from `b c h w` to scores.

    Args:
        model: with one picture as its input, channels last; one of the user's own class has to be built.
        head: what its scores mean; a softmax or sigmoid at the end is left away, unless a head of probabilities says
            that the model's own scores are wanted.

    Returns:
        the network, its head (`auto` where the model does not tell), and what is to be told about it.

    Raises:
        ModelError: Keras does not run on torch, the model has no graph that can be read, or torch's modules do not give
            its own scores.
    """
    check_backend()
    name = getattr(model, "name", type(model).__name__)
    try:
        graph = Graph(model)
    except UnknownGraphError as error:
        raise ModelError(f"the Keras model {name!r} cannot be taken apart: {error}; {_WAY_OUT}") from error
    if len(graph.inputs) != 1:
        raise ModelError(f"the Keras model {name!r} has {len(graph.inputs)} inputs, not one picture: {_WAY_OUT}")
    check_equal(graph.eval(), model, name)
    if "probab" in head:
        return graph, "auto", ()
    found = _without_last(graph, one=graph.shapes[-1][-1] == 1)
    return graph, found, () if found == "auto" else (LOGITS,)


def check_backend() -> None:
    """Refuse Keras on another backend than torch, once it is imported.

    Raises:
        ModelError: it runs on another.
    """
    keras = sys.modules.get("keras")
    backend = keras.backend.backend() if keras is not None and hasattr(keras, "backend") else "torch"
    if backend != "torch":
        raise ModelError(
            f"Keras runs on {backend} in this process, which it cannot change any more: set KERAS_BACKEND=torch before "
            "keras is first imported"
        )


def check_equal(graph: Graph, model: Any, name: str) -> None:
    """Refuse modules that do not give the model's own scores on random pictures.

    Raises:
        ModelError: they differ by more than 1e-4 of the largest score, or the model fails.
    """
    sides = [side or _SIDE for side in graph.shapes[0][1:]]
    if len(sides) != 3 or sides[2] > 4:
        raise ModelError(f"the Keras model {name!r} takes {graph.shapes[0]}, not pictures b h w c: {_WAY_OUT}")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(_PICTURES, sides[2], sides[0], sides[1], generator=generator)
    where = next((tensor.device for tensor in graph.parameters()), pixels.device)
    with torch.inference_mode(False), torch.no_grad():
        for scale in (1.0, 255.0):  # a network of bytes gives next to nothing for numbers below 1
            given = (pixels * scale).to(where)
            own, ours = model(given.permute(0, 2, 3, 1), training=False), graph(given)
            for one, other in zip(_all(own), _all(ours), strict=True):
                apart = float((one.float() - other.float()).abs().max() / one.float().abs().max().clamp_min(1e-6))
                if not apart <= TOLERANCE:
                    raise ModelError(
                        f"the Keras model {name!r} differs by {apart:.2g} of its largest score from its own layers as "
                        f"modules of torch: {_WAY_OUT}"
                    )


def _all(output: Any) -> list[torch.Tensor]:
    if isinstance(output, dict):
        output = list(output.values())
    return [one for one in (output if isinstance(output, tuple | list) else [output]) if isinstance(one, torch.Tensor)]


def _without_last(graph: Graph, *, one: bool) -> Head:
    """Leave the softmax or sigmoid at the end away; what the scores, or the one score, then mean."""
    found = graph.last()
    if found is None:
        return "auto"
    module, name = found
    if isinstance(module, Graph):
        return _without_last(module, one=one)
    owner, place = (module, "activation") if isinstance(module, nn.Sequential) else (graph, name)
    last = getattr(owner, place, None)
    if isinstance(last, nn.Softmax):
        setattr(owner, place, nn.Identity())
        return "softmax"
    if isinstance(last, nn.Sigmoid):
        setattr(owner, place, nn.Identity())
        return "binary" if one else "sigmoid"
    return "auto"
