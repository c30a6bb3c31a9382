"""The same ONNX network in words that onnx2torch knows: newer and older ways of saying a thing, written out."""

from __future__ import annotations

from typing import Any


def rewrite(model: Any) -> None:
    """Change a model in place without changing what it computes."""
    _without_second_names(model)
    _without_allowzero(model)
    _with_explicit_pads(model)


def _without_second_names(model: Any) -> None:
    """Weights by their own names: torch's older exporter writes equal ones once, and an Identity for every other use.

    onnx2torch takes a weight for one only where no node stands before it.
    """
    held = {tensor.name for tensor in model.graph.initializer}
    own: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type == "Identity" and (name := own.get(node.input[0], node.input[0])) in held:
            own[node.output[0]] = name
    outputs = {value.name for value in model.graph.output}
    kept = [node for node in model.graph.node if node.output[0] not in own or node.output[0] in outputs]
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = own.get(name, name)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _without_allowzero(model: Any) -> None:
    """Take from Reshape the word that a 0 in a shape means nothing at all, where no constant shape holds a 0.

    torch's newer exporter writes it everywhere; onnx2torch knows it not. A computed shape is of something there is.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
        if node.op_type == "Reshape" and (shape is None or numpy_helper.to_array(shape).all()):
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _with_explicit_pads(model: Any) -> None:
    """`SAME_UPPER` and `SAME_LOWER` as numbers, where the size of the input is known: out = ⌈in / stride⌉."""
    from onnx import helper, shape_inference

    nodes = [node for node in model.graph.node if _word(node, "auto_pad") in (b"SAME_UPPER", b"SAME_LOWER")]
    if not nodes:
        return
    graph = shape_inference.infer_shapes(model).graph
    values = {value.name: value for value in (*graph.input, *graph.value_info)}
    for node in nodes:
        value = values.get(node.input[0])
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim[2:]] if value is not None else []
        kernel = _word(node, "kernel_shape")
        if not sides or not all(sides) or not kernel:
            continue  # onnx2torch refuses it by name
        upper = _word(node, "auto_pad") == b"SAME_UPPER"
        strides, steps = (_word(node, name) or [1] * len(sides) for name in ("strides", "dilations"))
        before, after = [], []
        for side, size, stride, step in zip(sides, kernel, strides, steps, strict=True):
            total = max((-(-side // stride) - 1) * stride + (size - 1) * step + 1 - side, 0)
            less, more = total // 2, total - total // 2
            before.append(less if upper else more)
            after.append(more if upper else less)
        kept = [attribute for attribute in node.attribute if attribute.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", [*before, *after])])


def _word(node: Any, name: str) -> Any:
    """An attribute's value; none where it is left out."""
    from onnx import helper

    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), None)
