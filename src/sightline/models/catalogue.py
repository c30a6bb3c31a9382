"""Networks by name: where they come from, and how they are loaded. No torch until one is loaded."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ModelError, nearest, unknown

if TYPE_CHECKING:
    from sightline.models.classifier import Classifier


@dataclass(frozen=True)
class Source:
    """Where networks come from.

    Attributes:
        name: how a network is asked for.
        source: the module of `sightline.models.sources` that loads it.
        what: what it is, in a few words.
        example: a name that can be typed as it stands.
        library: the optional library it needs, or none.
        extra: the extra of Sightline that installs the library, or none.
    """

    name: str
    source: str
    what: str
    example: str
    library: str | None = None
    extra: str | None = None

    @property
    def available(self) -> bool:
        """Whether the library is installed."""
        return self.library is None or importlib.util.find_spec(self.library) is not None


SOURCES: tuple[Source, ...] = (
    Source("demo", "built_in", "built-in network for rendered scenes, trained honestly", "demo"),
    Source("demo/cheat", "built_in", "its twin, trained where a bell or snow gave the answer away", "demo/cheat"),
    Source(
        "torchvision/NAME", "torchvision", "torchvision's classifiers, with the preparation of their weights",
        "torchvision/resnet50", "torchvision", "torchvision",
    ),
    Source("timm/NAME", "timm", "timm's networks, with their data config", "timm/vit_tiny_patch16_224", "timm", "timm"),
    Source(
        "hf/ID-or-FOLDER", "hugging_face", "image classifiers of the Hugging Face hub or of a folder",
        "hf/google/vit-base-patch16-224", "transformers", "hf",
    ),
    Source(
        "hf-clip/ID-or-FOLDER", "zero_shot", "CLIP and its like: the classes are texts, given with --labels",
        "hf-clip/openai/clip-vit-base-patch32", "transformers", "hf",
    ),
    Source("keras/NAME", "keras", "keras.applications, with their preparation", "keras/ResNet50", "keras", "keras"),
    Source("FILE.keras", "keras", "models of Keras 3 (also .h5)", "path/network.keras", "keras", "keras"),
    Source("FILE.onnx", "onnx_file", "networks in ONNX files", "path/network.onnx", "onnxruntime", "onnx"),
    Source("FILE.xml", "openvino_file", "networks of OpenVINO (and .bin)", "path/network.xml", "openvino", "fast"),
    Source("FILE.tflite", "openvino_file", "networks of TensorFlow Lite", "path/network.tflite", "openvino", "fast"),
    Source("FILE.torchscript", "torchscript", "networks saved by torch.jit.save", "path/network.torchscript"),
    Source("http://ADDRESS", "remote", "a classifier behind HTTP", "http://localhost:8080/v1/models/cat:predict"),
    Source(
        "MODULE:FACTORY", "user_factory", "your own function (in a module or a file.py) that returns a network",
        "my_package.networks:make",
    ),
)  # fmt: skip
"""Everything `load` can load, in the order of `sightline models`."""

_BUILT_IN = {"demo": "honest", "demohonest": "honest", "democheat": "cheat"}
_SCHEMES = {
    "torchvision": "torchvision", "timm": "timm", "hf": "hugging_face", "keras": "keras", "hf-clip": "zero_shot",
}  # fmt: skip


_FILES = {
    **dict.fromkeys((".keras", ".h5", ".hdf5"), "keras"),
    ".onnx": "onnx_file", ".xml": "openvino_file", ".tflite": "openvino_file", ".pt2": "torchscript",
    **dict.fromkeys((".pt", ".torchscript", ".ts", ".ptl"), "torchscript"),
    **dict.fromkeys(
        (".pth", ".th", ".ckpt", ".bin", ".safetensors", ".pkl", ".pickle", ".joblib", ".dill", ".npy", ".npz", ".mat"),
        "refused_file",
    ),
}  # fmt: skip
"""Files that hold a network, and files that somebody may take for one, by their suffix."""

_WITH_OUTPUTS = ("onnx_file", "openvino_file", "torchscript", "remote", "refused_file")
"""Sources that know their outputs by name themselves."""


def models() -> list[dict[str, Any]]:
    """The sources of networks as records: name, source, what, example, library, extra, available."""
    return [{**asdict(source), "available": source.available} for source in SOURCES]


def load(  # noqa: PLR0913 (all but the first are keywords)
    name: str = "demo",
    *,
    weights: str | Path | None = None,
    preparation: Any = None,
    labels: Sequence[str] | None = None,
    head: str = "auto",
    device: Any = None,
    output: str | int | None = None,
    temperature: float = 1.0,
    trust: bool = False,
) -> Classifier:
    """A classifier by name.

    Args:
        name: `demo`, `demo/cheat`, `torchvision/resnet50`, `timm/vit_tiny_patch16_224`, `hf/ID-or-folder`, or your own
            `package.module:factory` (also `path/to/file.py:factory`); a file with a network (`.onnx`, `.xml`,
            `.tflite`, `.torchscript`); the address of a classifier (`http://…`, `https://…`).
        weights: a file to take the weights from (`.safetensors`, `.pt`, `.pth`, `.th`, `.bin`) instead of the source's;
            a last layer of another number of classes is taken over, and the class names are then unknown.
        preparation: instead of the source's own: whatever `sightline.wrap` takes.
        labels: class names in the order of the scores, instead of the source's own.
        head: what the scores mean, instead of what the source says (`sightline.models.heads`).
        device: where the network goes, as torch names devices; where it is by default.
        output: which of several outputs holds the scores: by name or place in a file; a key, an attribute or an index
            of what any other network returns.
        temperature: what the logits are divided by.
        trust: whether code inside a Keras file (lambda layers) may run; a file with code is refused otherwise.

    Raises:
        ModelError: an unknown network, weights that do not fit or cannot be had, or a device that is not there.
        MissingExtraError: the library of the source is not installed.
    """
    source, rest = _source_of(name)
    from sightline.models.sources.base import Asked

    file = None if weights is None else Path(weights).expanduser()
    asked = Asked(
        name=name,
        rest=rest,
        weights=file,
        preparation=preparation,
        labels=labels,
        head=head,
        output=output,
        trust=trust,
    )
    classifier = importlib.import_module(f"sightline.models.sources.{source}").load(asked)
    own = source in _WITH_OUTPUTS or output is None
    if temperature != 1 or not own:
        from sightline.models.classifier import wrap

        classifier = wrap(classifier, output=None if own else output, temperature=temperature)
    return classifier if device is None else _moved(classifier, device)


def _source_of(name: str) -> tuple[str, str]:
    """The module that loads a name, and what it is asked for."""
    if not isinstance(name, str):
        raise ModelError(f"a network is asked for by name, got {name!r:.80}; sightline.wrap takes a network itself")
    scheme, _, rest = name.strip().partition("/")
    built_in = _BUILT_IN.get(re.sub(r"[-_/ ]", "", name.strip().casefold()))
    if built_in:
        return "built_in", built_in
    if re.match(r"https?://", name.strip(), re.IGNORECASE):
        return "remote", name.strip()
    if (suffix := Path(name).suffix.lower()) in _FILES and scheme.casefold() not in _SCHEMES:
        return _FILES[suffix], name
    if re.search(r"\.py:[^:]*$", name):
        return "user_factory", name
    if scheme.casefold() in _SCHEMES and rest:
        return _SCHEMES[scheme.casefold()], rest
    if ":" in name:
        return "user_factory", name
    raise ModelError(_unknown(name, scheme, rest))


def _unknown(name: str, scheme: str, rest: str) -> str:
    """One line for a name of no source; a bare architecture is pointed to the sources that have it."""
    if scheme.casefold() in _SCHEMES:
        example = next(source.example for source in SOURCES if source.name.startswith(f"{scheme.casefold()}/"))
        return f"unknown network {name!r}: a name has to follow, as in {example!r}"
    if not rest and (found := _sources_of(name)):
        return f"unknown network {name!r}: did you mean {' or '.join(map(repr, found))}?"
    close = nearest(scheme, ("demo", *_SCHEMES), most=1) if rest else []
    if close == ["demo"]:
        return unknown("network", name, ("demo", "demo/cheat"))
    if close:
        return f"unknown network {name!r}: did you mean '{close[0]}/{rest}'?"
    return unknown("network", name, ("demo", "demo/cheat", *(source.example for source in SOURCES[2:])))


def _sources_of(architecture: str) -> list[str]:
    """The full names of an architecture that was given without its source."""
    known: dict[str, list[str]] = {}
    for word in ("torchvision", "timm"):
        if importlib.util.find_spec(word) is not None:
            known[word] = importlib.import_module(f"sightline.models.sources.{word}").names()
    return [f"{word}/{architecture}" for word, names in known.items() if architecture in names]


def _moved(classifier: Classifier, device: Any) -> Classifier:
    """The classifier with its network on a device."""
    from sightline.models.devices import as_device

    where = as_device(device)
    if classifier.network is not None:
        classifier.network.to(where)
    elif where.type != "cpu":
        raise ModelError(f"{classifier.name} is a function, which has no device: leave device out")
    return classifier
