"""A functional Keras model, step by step, as a network of torch's modules; inside, pictures are `b c h w`.

Every method then sees what it sees in any other network: convolutions, batch normalisations and ReLUs as modules with
Keras's own names. What a layer means is taken from its kind (`layers.py`), and the whole is compared with the model
itself before it is used (`network.py`).
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sightline.models.from_keras.layers import module_of
from sightline.models.from_keras.mixed import in_full, rounded_numbers


class UnknownGraphError(Exception):
    """The model has no graph that can be read; the text says why."""


@dataclass(frozen=True, eq=False)
class Step:
    """One call of one layer.

    Attributes:
        name: of the module that does it.
        given: keys of the tensors that it is given.
        made: keys of the tensors that it makes.
    """

    name: str
    given: tuple[int, ...]
    made: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """How a model goes from its inputs to its outputs.

    Attributes:
        inputs, outputs: keys of the tensors.
        shapes: of all of them, batch first, channels last, None where any size is taken.
        steps: the calls in order.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    steps: list[Step] = field(default_factory=list)


class Graph(nn.Module):
    """The calls of a functional model in order.

    Its modules have the names of Keras's layers, which may be any word: what else it knows is kept under few.

    Attributes:
        keras_course: the calls.
        foreign: names of layers with weights that Keras itself runs.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        functional = functional_of(model)
        self.foreign: list[str] = []
        keys: dict[int, int] = {}  # of Keras's tensors, which live as long as `functional` does
        self.keras_course = Course(
            inputs=tuple(_key(keys, tensor) for tensor in functional._inputs),
            outputs=tuple(_key(keys, tensor) for tensor in functional._outputs),
            shapes=tuple(tuple(tensor.shape) for tensor in (*functional._inputs, *functional._outputs)),
        )
        self._names: dict[int, str] = {}
        nodes = list(_nodes(functional))
        calls = Counter(id(node.operation) for node in nodes)
        for node in nodes:
            self._add(node, keys, calls[id(node.operation)])
        self._names.clear()  # of layers by where they lie in memory

    def forward(self, *pictures: torch.Tensor) -> Any:
        """Tensors as the model takes them, of four axes channels first; the answer of a single output as it is."""
        course = self.keras_course
        known = dict(zip(course.inputs, pictures, strict=True))
        for step in course.steps:
            made = self.get_submodule(step.name)(*(known[key] for key in step.given))
            known.update(zip(step.made, made if isinstance(made, tuple | list) else (made,), strict=True))
        answers = tuple(known[key] for key in course.outputs)
        return answers[0] if len(answers) == 1 else answers

    def _add(self, node: Any, keys: dict[int, int], calls: int) -> None:
        layer = node.operation
        if id(layer) not in self._names:
            self._names[id(layer)] = name = self._name(layer)
            self.add_module(name, self._module(layer, node, name))
        elif not _plain(node):
            raise UnknownGraphError(f"layer {layer.name!r} is called {calls} times with arguments of its own")
        given = tuple(_key(keys, tensor) for tensor in node.arguments.keras_tensors)
        made = tuple(_key(keys, tensor) for tensor in node.outputs)
        self.keras_course.steps.append(Step(self._names[id(layer)], given, made))

    def _module(self, layer: Any, node: Any, name: str) -> nn.Module:
        if getattr(layer, "data_format", None) == "channels_first":
            raise UnknownGraphError(f"layer {layer.name!r} works channels first, in Keras, which is not supported")
        if hasattr(layer, "_nodes_by_depth") or hasattr(layer, "_functional"):
            inner = Graph(layer)
            self.foreign += [f"{name}.{other}" for other in inner.foreign]
            return inner
        ranks = [len(tensor.shape) for tensor in node.arguments.keras_tensors]
        module = module_of(layer, ranks) if _plain(node) else None
        if module is not None:
            return module
        if getattr(layer, "weights", ()):
            self.foreign.append(name)
        return Foreign(layer, node)

    def _name(self, layer: Any) -> str:
        name = str(layer.name).replace(".", "_")
        while name in self._modules or hasattr(self, name):
            name += "_"
        return name


def last_of(graph: Graph) -> tuple[nn.Module, str] | None:
    """The module that makes the only output, and its name."""
    course = graph.keras_course
    makers = [step for step in course.steps if course.outputs[0] in step.made]
    if len(course.outputs) != 1 or not makers:
        return None
    return graph.get_submodule(makers[0].name), makers[0].name


def _key(keys: dict[int, int], tensor: Any) -> int:
    return keys.setdefault(id(tensor), len(keys))


def functional_of(model: Any) -> Any:
    """The graph of a model; one of the user's own class is run once on a stand-in for a picture.

    Raises:
        UnknownGraphError: it is not built, or its code needs numbers where there are none.
    """
    if hasattr(model, "_nodes_by_depth"):
        return model
    if hasattr(getattr(model, "_functional", None), "_nodes_by_depth"):
        return model._functional
    import keras

    shape = (getattr(model, "_build_shapes_dict", None) or {}).get("input_shape")
    if not shape or not all(isinstance(side, int | None) for side in shape):
        raise UnknownGraphError("it is not built: call it once on a batch of pictures")
    picture = keras.Input(tuple(shape)[1:])
    try:
        trains = "training" in inspect.signature(model.call).parameters
        functional = keras.Model(picture, model.call(picture, **({"training": False} if trains else {})))
    except Exception as error:  # the user's own code runs here, and may raise anything at a stand-in for a picture
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise UnknownGraphError(f"its call needs more than layers and keras.ops ({reason})") from error
    for node in [node for depth in functional._nodes_by_depth.values() for node in depth]:
        _forget(node)
    return functional


def _forget(node: Any) -> None:
    """Leave the user's layers as they were: they keep a list of all calls."""
    for known in (node.operation._inbound_nodes, *(parent.operation._outbound_nodes for parent in node.parent_nodes)):
        if node in known:
            known.remove(node)


class Foreign(nn.Module):
    """A layer or an operation that Keras runs itself, channels last."""

    def __init__(self, layer: Any, node: Any) -> None:
        super().__init__()
        if isinstance(layer, nn.Module):
            self.layer = layer
        # Layers that make pictures vary do so unless they are told not to.
        self._call = (layer, node.arguments, "training" in inspect.signature(layer.call).parameters)
        self._rounds = rounded_numbers(layer) is not None
        self.channels_last = len(node.outputs[0].shape) == 4

    def forward(self, *given: torch.Tensor) -> Any:
        import keras

        layer, arguments, trains = self._call
        turned = [tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor for tensor in given]
        known = {id(symbol): tensor for symbol, tensor in zip(arguments.keras_tensors, turned, strict=True)}
        args, kwargs = arguments.fill_in(known)
        # Keras brings what it is given to a device of its own.
        with keras.device(_words(given[0].device)), in_full(layer) if self._rounds else nullcontext():
            made = layer(*args, **kwargs | ({"training": False} if isinstance(layer, nn.Module) and trains else {}))
        if isinstance(made, tuple | list):
            return tuple(_turned(one) for one in made)
        return _turned(made)


def _words(device: torch.device) -> str:
    return device.type if device.index is None else f"{device.type}:{device.index}"


def _turned(tensor: Any) -> Any:
    return tensor.permute(0, 3, 1, 2) if isinstance(tensor, torch.Tensor) and tensor.ndim == 4 else tensor


def _nodes(functional: Any) -> Iterator[Any]:
    """The calls in the order in which Keras makes them, without the inputs."""
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        for node in functional._nodes_by_depth[depth]:
            if not node.is_input and type(node.operation).__name__ != "InputLayer":
                yield node


def _plain(node: Any) -> bool:
    """Whether a call gives nothing but tensors; a number or a mask makes it a call of its own.

    `training` is what the whole model is asked with: Keras puts that in the place of what a layer was called with.
    """
    args, kwargs = node.arguments.args, node.arguments.kwargs
    flat = [one for arg in args for one in (arg if isinstance(arg, list | tuple) else (arg,)) if one is not None]
    more = {name: value for name, value in kwargs.items() if value is not None and name != "training"}
    return len(flat) == len(node.arguments.keras_tensors) and not more
