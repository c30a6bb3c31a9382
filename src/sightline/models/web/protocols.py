"""What is said to a classifier over HTTP, and how its answer is read."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from sightline.errors import ModelError, unknown
from sightline.models.files.onnx_header import output_name

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
    output: str | None = None

    def request(self, pictures: Array) -> tuple[bytes, str]:
        return json.dumps({"instances": pictures.tolist()}).encode(), "application/json"

    def scores(self, answer: Any) -> Any:
        found = answer["predictions"]
        if not found or not isinstance(found[0], dict):
            return found
        name = output_name(list(found[0]), self.output, "the server")
        return [row[name] for row in found]


@dataclass(frozen=True)
class KServeV2:
    """KServe's V2 protocol, the Open Inference Protocol."""

    name: str = "kserve-v2"
    input_name: str = "input"
    output: str | None = None

    def request(self, pictures: Array) -> tuple[bytes, str]:
        shape, data = list(pictures.shape), pictures.ravel().tolist()
        given = {"name": self.input_name, "shape": shape, "datatype": "FP32", "data": data}
        return json.dumps({"inputs": [given]}).encode(), "application/json"

    def scores(self, answer: Any) -> Any:
        outputs = {str(one.get("name", place)): one for place, one in enumerate(answer["outputs"])}
        held = outputs[output_name(list(outputs), self.output, "the server")]
        return np.asarray(held["data"], dtype=np.float64).reshape(held["shape"]).tolist()


def protocol_of(word: str, url: str, input_name: str, output: str | None = None) -> Speaks:
    """The protocol of this name, or the one that the end of the address tells.

    Args:
        word: its name, or `auto`.
        url: the address.
        input_name: as `kserve-v2` asks for it.
        output: which of several outputs holds the scores.

    Raises:
        ModelError: an unknown protocol, or an output by name of one that has no names.
    """
    known: dict[str, Speaks] = {
        "sightline": Own(),
        "kserve": KServe(output=output),
        "kserve-v2": KServeV2(input_name=input_name, output=output),
    }
    if word == "auto":
        path = url.split("?", 1)[0].rstrip("/")
        word = "kserve" if path.endswith(":predict") else "kserve-v2" if path.endswith("/infer") else "sightline"
    if word not in known:
        raise ModelError(unknown("protocol", word, ["auto", *known]))
    if output is not None and word == "sightline":
        raise ModelError("a classifier that is asked by the protocol 'sightline' has one output: leave output out")
    return known[word]
