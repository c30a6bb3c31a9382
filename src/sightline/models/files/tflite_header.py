"""What a TensorFlow Lite file says of its input and output: type, and what its integers stand for.

OpenVINO runs such files and does not hand these words on. The file is a FlatBuffer (Google's format of tables with
offsets); the few fields that are wanted are read here, by the numbers that TensorFlow Lite's schema gives them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import ModelError

_TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 9: "int8", 10: "float64"}
# Fields of the tables: Model, SubGraph, Tensor, QuantizationParameters.
_SUBGRAPHS, _TENSORS, _INPUTS, _OUTPUTS = 2, 0, 1, 2
_TYPE, _QUANTIZATION = 1, 4
_SCALE, _ZERO = 2, 3


@dataclass(frozen=True)
class Held:
    """A tensor at the door: its type, and value = scale · (integer − zero)."""

    numbers: str
    scale: float = 1.0
    zero: int = 0


def read_ends(file: Path) -> tuple[list[Held], list[Held]]:
    """The inputs and the outputs of the file's network, in order.

    Raises:
        ModelError: no TensorFlow Lite file.
    """
    data = file.read_bytes()
    if data[4:8] != b"TFL3":
        raise ModelError(f"{file} is damaged or no TensorFlow Lite file")
    try:
        model = _Table(data, struct.unpack_from("<I", data)[0])
        graph = model.tables(_SUBGRAPHS)[0]
        tensors = graph.tables(_TENSORS)
        inputs, outputs = ([_held(tensors[place]) for place in graph.numbers(end, "i")] for end in (_INPUTS, _OUTPUTS))
    except (struct.error, IndexError, KeyError) as error:
        raise ModelError(f"{file} is damaged: its tables point outside of it") from error
    return inputs, outputs


def _held(tensor: _Table) -> Held:
    kind = tensor.field(_TYPE)
    numbers = _TYPES.get(tensor.data[kind] if kind else 0, "another type")
    place = tensor.field(_QUANTIZATION)
    if not place or not numbers.startswith(("int", "uint")):
        return Held(numbers)
    quantisation = _Table(tensor.data, tensor.at(place))
    scales, zeros = quantisation.numbers(_SCALE, "f"), quantisation.numbers(_ZERO, "q")
    return Held(numbers, scales[0], int(zeros[0]) if zeros else 0) if scales else Held(numbers)


class _Table:
    """One table of a FlatBuffer: a list of offsets says where each field lies."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.start = data, start

    def field(self, number: int) -> int:
        """Where a field lies; 0 where it was left out."""
        offsets = self.start - struct.unpack_from("<i", self.data, self.start)[0]
        if offsets < 0:
            raise IndexError(offsets)
        size = struct.unpack_from("<H", self.data, offsets)[0]
        entry = 4 + 2 * number
        offset = struct.unpack_from("<H", self.data, offsets + entry)[0] if entry < size else 0
        return self.start + offset if offset else 0

    def at(self, place: int) -> int:
        """What an offset points to."""
        return place + int(struct.unpack_from("<I", self.data, place)[0])

    def numbers(self, number: int, kind: str) -> list[Any]:
        """A field that is a list of numbers."""
        place = self.field(number)
        if not place:
            return []
        start = self.at(place)
        count = struct.unpack_from("<I", self.data, start)[0]
        return list(struct.unpack_from(f"<{count}{kind}", self.data, start + 4))

    def tables(self, number: int) -> list[_Table]:
        """A field that is a list of tables."""
        place = self.field(number)
        start = self.at(place) if place else 0
        count = struct.unpack_from("<I", self.data, start)[0] if place else 0
        places = [start + 4 + 4 * entry for entry in range(min(count, len(self.data) // 4))]
        return [_Table(self.data, self.at(entry)) for entry in places]
