"""A Keras model as a network that is explained: its graph as torch's modules, compared with the model on the spot."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from sightline.errors import ModelError, unknown
from sightline.models.from_keras.graph import Graph, UnknownGraphError, last_of
from sightline.models.from_keras.mixed import in_full, rounded_numbers
from sightline.models.heads import Head
from sightline.models.questions import Held, Way

TOLERANCE = 1e-4
"""How far the scores may be from the model's own, relative to the largest; rounding is a hundredth of that."""
LOGITS = "the last softmax or sigmoid of the Keras model is left away: the scores that are explained are its logits"
_STEPS = 4  # of numbers coarser than float32, one of which is the least that two ways of counting differ by
_PICTURES = 2
_SIDE = 64  # of the pictures that an input of any size is tried with
_WAY_OUT = "wrap a function of yours that calls it, which is explained by perturbation"


def network_of(
    model: Any, *, head: str = "auto", held: Sequence[Any] = (...,)
) -> tuple[nn.Module, Head, tuple[str, ...]]:
    """The network of a Keras model, from `b c h w` to scores.

    Args:
        model: with one picture as its input, channels last; one of the user's own class has to be built.
        head: what its scores mean; a softmax or sigmoid at the end is left away, unless a head of probabilities says
            that the model's own scores are wanted.
        held: its inputs in order, as `held_in_order` gives them.

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
    if len(graph.keras_course.inputs) != len(held):
        raise ModelError(_several(name, input_names(model)))
    check_equal(graph.eval(), model, name, held)
    coarse = rounded_numbers(model)
    notes = (
        () if coarse is None else (f"the Keras model computes in {coarse}: it is explained in float32, as its weights",)
    )
    if "probab" in head:
        return graph, "auto", notes
    found = _without_last(graph, one=graph.keras_course.shapes[-1][-1] == 1)
    return graph, found, notes if found == "auto" else (*notes, LOGITS)


def asked_as(model: Any, way: Way, head: str) -> tuple[nn.Module, Way, Head, tuple[str, ...]]:
    """`network_of` for the way that a model is asked in: the network, that way by places in place of names, and so on.

    Raises:
        ModelError: as `network_of` and `held_in_order`.
    """
    places = held_in_order(model, way.held)
    network, told, notes = network_of(model, head=head, held=places)
    by_place = replace(way, held=places if len(places) > 1 else (), output=output_place(model, way.output))
    return network, by_place, told, notes


def held_in_order(model: Any, held: Held) -> tuple[Any, ...]:
    """The inputs of a model in order, `...` where the picture goes; pictures among them as `b c h w`.

    Args:
        model: of Keras.
        held: by the names of its inputs or by place, as Keras takes them (channels last), without the picture.

    Raises:
        ModelError: other inputs than the model has, or not all but one.
    """
    names = input_names(model)
    if held and not hasattr(_functional(model), "_inputs"):
        raise ModelError(
            f"the Keras model {getattr(model, 'name', '')!r} is of a class of your own, whose inputs have no names: "
            "make it functional, keras.Model([picture, more], model(picture, more)), and hold the inputs of that"
        )
    if isinstance(held, Mapping):
        if wrong := [str(one) for one in held if one not in names]:
            raise ModelError(unknown("input of the Keras model", wrong[0], names))
        places = [held.get(name, ...) for name in names]
    else:
        places = list(held) if any(one is ... for one in held) else [..., *held]
    if len(places) != len(names) or sum(one is ... for one in places) != 1:
        raise ModelError(_several(getattr(model, "name", type(model).__name__), names))
    return tuple(one if one is ... else _channels_first(one) for one in places)


def input_names(model: Any) -> list[str]:
    """How a model calls its inputs, in order: as it is called with them, else by their layers."""
    functional = _functional(model)
    if not hasattr(functional, "_inputs"):
        return ["input"]  # of the user's own class, which takes one
    struct = getattr(functional, "_inputs_struct", None)
    keys = {id(tensor): str(key) for key, tensor in struct.items()} if isinstance(struct, dict) else {}
    return [keys.get(id(one), str(one.name)) for one in functional._inputs]


def _functional(model: Any) -> Any:
    return model if hasattr(model, "_nodes_by_depth") else getattr(model, "_functional", None)


def output_place(model: Any, output: str | int | None) -> str | int | None:
    """The place of an output that is called by its name."""
    names = list(getattr(model, "output_names", None) or ())
    return names.index(output) if output in names and len(names) > 1 else output


def _several(name: str, names: Sequence[str]) -> str:
    """What to say of inputs that are not one picture."""
    return (
        f"the Keras model {name!r} has {len(names)} inputs ({', '.join(names)}), of which one is explained: give the "
        "others as tensors of one row, sightline.wrap(model, held={NAME: tensor})"
    )


def _channels_first(value: Any) -> torch.Tensor:
    tensor = torch.as_tensor(value).detach()
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def _as_keras_takes(model: Any, given: Sequence[torch.Tensor]) -> Any:
    """The inputs as the model itself is called: one, a list, or a dictionary; channels last."""
    turned = [one.permute(0, 2, 3, 1) if one.ndim == 4 else one for one in given]
    struct = getattr(model, "_inputs_struct", None)
    if isinstance(struct, dict):
        places = {id(tensor): place for place, tensor in enumerate(model._inputs)}
        return {key: turned[places[id(tensor)]] for key, tensor in struct.items()}
    return turned[0] if len(turned) == 1 else turned


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


def check_equal(graph: Graph, model: Any, name: str, held: Sequence[Any]) -> None:
    """Refuse modules that do not give the model's own scores on random pictures, beside what is held.

    A model of mixed precision is compared as it computes in float32; one whose weights are in float16 or bfloat16 to
    within a few of their steps.

    Raises:
        ModelError: they differ by more than 1e-4 of the largest score, or the model fails.
    """
    shape = graph.keras_course.shapes[list(held).index(...)]
    sides = [side or _SIDE for side in shape[1:]]
    if len(sides) != 3 or sides[2] > 4:
        raise ModelError(f"the Keras model {name!r} takes {shape}, not pictures b h w c: {_WAY_OUT}")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(_PICTURES, sides[2], sides[0], sides[1], generator=generator)
    own_numbers = next((one for one in graph.parameters() if one.is_floating_point()), pixels)
    tolerance = max(TOLERANCE, _STEPS * torch.finfo(own_numbers.dtype).eps)
    with torch.inference_mode(False), torch.no_grad(), in_full(model):
        for scale in (1.0, 255.0):  # a network of bytes gives next to nothing for numbers below 1
            shown = (pixels * scale).to(own_numbers)
            given = [
                shown if one is ... else one.to(own_numbers.device).expand(_PICTURES, *one.shape[1:]) for one in held
            ]
            own, ours = model(_as_keras_takes(model, given), training=False), graph(*given)
            for one, other in zip(_all(own), _all(ours), strict=True):
                apart = float((one.float() - other.float()).abs().max() / one.float().abs().max().clamp_min(1e-6))
                if not apart <= tolerance:
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
    found = last_of(graph)
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
