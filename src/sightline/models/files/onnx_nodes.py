"""Nodes of ONNX versions that onnx2torch 1.5 does not know, as exporters write them.

Of most operations another version only takes other types of numbers: these are given the converter of the next version
that is known. What else has changed has a converter here. Whether all this is right is not taken on trust: every
conversion is run beside ONNX Runtime before it is used (`sightline.models.files.onnx_torch`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import fx, nn

_OTHER_TYPES = {
    **dict.fromkeys(
        ("Shape", "Reshape", "ConstantOfShape", "Identity", "Transpose", "Squeeze", "Unsqueeze", "Equal", "Conv",
         "ConvTranspose", "AveragePool", "GlobalAveragePool", "InstanceNormalization", "HardSwish", "HardSigmoid",
         "Elu", "Selu", "Softplus", "Pad", "Resize", "Range", "ScatterND"), 14,
    ),
    "MaxPool": 1, "Flatten": 1, "Constant": 1, "Cast": 6, "Dropout": 7, "BatchNormalization": 7, "Gemm": 7,
    "Sum": 6, "Mean": 6, "Max": 6, "Min": 6,
}  # fmt: skip
"""Operations of which versions, from this one on, differ in nothing that classifiers are exported with."""


@cache
def add_newer_nodes() -> None:
    """Teach onnx2torch what stands in this module, once."""
    from onnx import defs
    from onnx2torch.node_converters.registry import _CONVERTER_REGISTRY, OperationDescription, add_converter

    known: dict[str, list[int]] = {}
    for description in _CONVERTER_REGISTRY:
        if description.domain == "":
            known.setdefault(description.operation_type, []).append(description.version)
    for schema in defs.get_all_schemas_with_history():
        name, version = schema.name, schema.since_version
        wanted = schema.domain == "" and name in known and version >= _OTHER_TYPES.get(name, version + 1)
        if wanted and version not in known[name]:
            near = min((other for other in known[name] if other > version), default=max(known[name]))
            add_converter(name, version)(_CONVERTER_REGISTRY[OperationDescription("", name, near)])
    for name, version, converter in _converters():
        if OperationDescription("", name, version) not in _CONVERTER_REGISTRY:
            add_converter(name, version)(converter)


def _converters() -> list[tuple[str, int, Any]]:
    from onnx2torch.node_converters.reduce import OnnxReduceStaticAxes
    from onnx2torch.utils.common import OnnxMapping, OperationConverterResult, get_const_value, onnx_mapping_from_node

    def reduce(node: Any, graph: Any) -> Any:
        """Since version 18 the axes are an input; torch's exporters give constants."""
        given = node.input_values[1] if len(node.input_values) > 1 and node.input_values[1] else None
        axes = None if given is None else [int(axis) for axis in get_const_value(given, graph)]
        if not axes and node.attributes.get("noop_with_empty_axes", 0):
            raise NotImplementedError(f"{node.operation_type} that does nothing")
        module = OnnxReduceStaticAxes(node.operation_type, axes=axes, keepdims=node.attributes.get("keepdims", 1))
        mapping = OnnxMapping(inputs=(node.input_values[0],), outputs=node.output_values)
        return OperationConverterResult(torch_module=module, onnx_mapping=mapping)

    def global_maximum(node: Any, _graph: Any) -> Any:
        mapping = onnx_mapping_from_node(node=node)
        return OperationConverterResult(torch_module=nn.AdaptiveMaxPool2d(1), onnx_mapping=mapping)

    def gelu(node: Any, _graph: Any) -> Any:
        approximate = node.attributes.get("approximate", "none")
        module = nn.GELU(approximate=approximate.decode() if isinstance(approximate, bytes) else approximate)
        return OperationConverterResult(torch_module=module, onnx_mapping=onnx_mapping_from_node(node=node))

    def split(node: Any, _graph: Any) -> Any:
        module = _Split(len(node.output_values), node.attributes.get("axis", 0))
        return OperationConverterResult(torch_module=module, onnx_mapping=onnx_mapping_from_node(node=node))

    pools = [("GlobalMaxPool", version, global_maximum) for version in (1, 22)]
    reductions = [
        (name, 18, reduce) for name in ("ReduceMean", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare")
    ]
    return [*reductions, *pools, ("Gelu", 20, gelu), ("Split", 18, split)]


def with_sizes(network: fx.GraphModule) -> fx.GraphModule:
    """The network with the sizes of its normalisations and the axes of its pooling, which onnx2torch takes from what
    the file foretells of shapes: nothing, behind a padding that is computed (Swin)."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm) and module.weight is not None:
            module.normalized_shape = tuple(module.weight.shape)
        if type(module).__name__ == "OnnxGlobalAveragePoolWithKnownInputShape" and not module._x_dims:
            # Of a picture; whether it is one is seen where the scores are compared.
            module._x_dims = [2, 3]  # type: ignore[assignment]
    return network


class _Split(nn.Module):
    """Parts of given sizes, or as many as there are outputs: equal, the last one smaller where it does not divide."""

    def __init__(self, parts: int, axis: int) -> None:
        super().__init__()
        self.parts, self.axis = parts, axis

    def forward(self, tensor: torch.Tensor, split: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        sizes = -(-tensor.shape[self.axis] // self.parts) if split is None else split.tolist()
        return torch.split(tensor, sizes, dim=self.axis)
