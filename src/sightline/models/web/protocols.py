"""What is said to a classifier over HTTP, and how its answer is read."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from sightline.errors import ModelError, unknown

Array: TypeAlias = np.ndarray[Any, Any]


class Speaks(Protocol):
    """One protocol: the body of a request and its content type, and the scores in an answer."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def request(self, pictures: Array) -> tuple[bytes, str]:
        """Pictures, float32 with the batch first, as a body."""
        ...

    def scores(self, answer: Any) -> Any:
        """The scores in an answer's JSON, as lists of numbers.

        Raises:
            KeyError: they are not where they should be.
        """
        ...


@dataclass(frozen=True)
class Own:
    """A NumPy file, answered by `{"scores": [[…]]}`."""

    name: str = "sightline"

    def request(self, pictures: Array) -> tuple[bytes, str]:
        held = io.BytesIO()
        np.save(held, pictures, allow_pickle=False)
        return held.getvalue(), "application/x-npy"

    def scores(self, answer: Any) -> Any:
        return answer["scores"]


@dataclass(frozen=True)
class KServe:
    """KServe's V1 protocol, which is that of TensorFlow Serving."""

    name: str = "kserve"

    def request(self, pictures: Array) -> tuple[bytes, str]:
        return json.dumps({"instances": pictures.tolist()}).encode(), "application/json"

    def scores(self, answer: Any) -> Any:
        found = answer["predictions"]
        named = found and isinstance(found[0], dict) and len(found[0]) == 1
        return [next(iter(row.values())) for row in found] if named else found


@dataclass(frozen=True)
class KServeV2:
    """KServe's V2 protocol, the Open Inference Protocol."""

    name: str = "kserve-v2"
    input_name: str = "input"

    def request(self, pictures: Array) -> tuple[bytes, str]:
        shape, data = list(pictures.shape), pictures.ravel().tolist()
        given = {"name": self.input_name, "shape": shape, "datatype": "FP32", "data": data}
        return json.dumps({"inputs": [given]}).encode(), "application/json"

    def scores(self, answer: Any) -> Any:
        first = answer["outputs"][0]
        return np.asarray(first["data"], dtype=np.float64).reshape(first["shape"]).tolist()


def protocol_of(word: str, url: str, input_name: str) -> Speaks:
    """The protocol of this name, or the one that the end of the address tells.

    Raises:
        ModelError: an unknown protocol.
    """
    known: dict[str, Speaks] = {"sightline": Own(), "kserve": KServe(), "kserve-v2": KServeV2(input_name=input_name)}
    if word == "auto":
        path = url.split("?", 1)[0].rstrip("/")
        word = "kserve" if path.endswith(":predict") else "kserve-v2" if path.endswith("/infer") else "sightline"
    if word not in known:
        raise ModelError(unknown("protocol", word, ["auto", *known]))
    return known[word]
