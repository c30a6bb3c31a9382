"""Keras files: read as data first, refused where they hold code, then loaded by Keras in `safe_mode`."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from sightline.errors import ModelError
from sightline.models.sources.base import first_line

SUFFIXES = (".keras", ".h5", ".hdf5")
_MOST_SWOLLEN = 200
"""How many times larger than itself an archive may declare its contents to be; weights do not shrink to half."""
_MOST_CONFIG = 64 * 2**20
_CODE = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")


def model_from(keras: Any, file: Path, *, trust: bool) -> Any:
    check_file(file)
    config = _config(file)
    if not trust:
        _check_code(file, config)
    # Keras goes by the name, and has to read what was checked: a file may be HDF5 and a zip archive in one.
    suffix = ".keras" if zipfile.is_zipfile(file) else ".h5"
    older = suffix == ".h5" and _in_todays_words(config)
    try:
        if file.suffix == suffix and not older:
            return keras.saving.load_model(file, compile=False, safe_mode=not trust)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"model{suffix}"
            shutil.copyfile(file, copy)
            if older:
                _put_config(copy, config)
            return keras.saving.load_model(copy, compile=False, safe_mode=not trust)
    except Exception as error:
        # Whatever does not fit in a file shows as any kind of error (TypeError, ValueError, KeyError, OSError, …).
        raise ModelError(f"{file} cannot be loaded by Keras: {first_line(error)}") from error


def _in_todays_words(config: Any) -> bool:
    """Take from a configuration of Keras 2 the one word that Keras 3 knows not and that means nothing: depthwise
    convolutions of one group. Whether anything was taken."""
    old = [entry["config"] for entry in _entries(config) if entry["class_name"] == "DepthwiseConv2D"]
    old = [one for one in old if isinstance(one, dict) and one.get("groups") == 1]
    for one in old:
        del one["groups"]
    return bool(old)


def _put_config(file: Path, config: Any) -> None:
    import h5py

    with h5py.File(file, "r+") as opened:
        opened.attrs["model_config"] = json.dumps(config)


def check_file(file: Path) -> None:
    if not file.is_file():
        raise ModelError(f"no file {file}")
    if file.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{file} is no Keras file: expected {', '.join(SUFFIXES)}")


def _config(file: Path) -> Any:
    """What the file says of the model's layers, read as data."""
    import h5py

    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as held:
                _check_size(file, held)
                return json.loads(held.read("config.json"))
        if h5py.is_hdf5(file):
            with h5py.File(file) as opened:
                text = opened.attrs.get("model_config")
            if text is None:
                raise ModelError(
                    f"{file} holds weights and no model: build the model in a function of yours (file.py:function) and "
                    "give the weights with --weights"
                )
            return json.loads(text)
    # RuntimeError: an encrypted archive, or lists in lists without end (RecursionError).
    except (KeyError, ValueError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{file} is damaged or no Keras file: {first_line(error)}") from error
    raise ModelError(f"{file} is damaged or no Keras file: neither a zip archive nor HDF5")


def _check_size(file: Path, held: zipfile.ZipFile) -> None:
    """Refuse an archive that would fill the memory or the disk, by what it declares: zipfile reads no more."""
    entries = held.infolist()
    whole = sum(entry.file_size for entry in entries)
    config = max((entry.file_size for entry in entries if entry.filename == "config.json"), default=0)
    if whole > _MOST_SWOLLEN * file.stat().st_size or config > _MOST_CONFIG:
        raise ModelError(
            f"{file} is refused: it unpacks to {whole / 2**20:,.0f} MB from {file.stat().st_size / 2**20:,.1f} MB, "
            "which no network does"
        )


def _check_code(file: Path, config: Any) -> None:
    """Refuse what would run code of the file's own."""
    for entry in _entries(config):
        kind, module = str(entry.get("class_name")), entry.get("module")
        if kind.rpartition(">")[2] in _CODE or kind == "__lambda__":
            raise ModelError(
                f"{file} holds a layer with code of its own ({kind}), which is not run: give trust=True (--trust) if "
                "you made the file or know who did"
            )
        if isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins"):
            raise ModelError(
                f"{file} needs the class {kind} of {module}: make the model in a function of yours (file.py:function), "
                "which imports it"
            )


def _entries(config: Any) -> list[dict[str, Any]]:
    """Every part of a configuration that names a class."""
    found: list[dict[str, Any]] = []
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                found.append(part)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def load_keras_weights(model: Any, file: Path) -> None:
    """Put the weights of a `.keras`, `.h5` or `.weights.h5` file into a model.

    Raises:
        ModelError: no such file, or weights that do not fit.
    """
    check_file(file)
    try:
        if file.suffix.lower() == ".keras" and not zipfile.is_zipfile(file):
            with tempfile.TemporaryDirectory() as folder:
                # Files of HDF5 that are called .keras: Keras goes by the name.
                copy = Path(folder) / "weights.h5"
                shutil.copyfile(file, copy)
                model.load_weights(copy)
        else:
            model.load_weights(file)
    except Exception as error:
        # Keras, h5py and zipfile fail in many ways (ValueError, OSError, KeyError, …).
        raise ModelError(f"the weights in {file} do not fit {model.name!r}: {first_line(error)}") from error


def classes_in(file: Path) -> int | None:
    """How many classes the last layer of an application's weights has: by its usual names, else the last matrix."""
    import h5py

    if not h5py.is_hdf5(file):
        return None
    named: list[int] = []
    matrices: dict[tuple[Any, ...], int] = {}

    def look(name: str, thing: Any) -> None:
        shape: tuple[int, ...] = getattr(thing, "shape", ())
        if len(shape) > 1 and any(word in name.lower() for word in ("predictions", "fc1000", "logits")):
            named.append(int(shape[-1]))
        if len(shape) == 2:
            # dense_2 comes before dense_10.
            matrices[tuple((int(n or 0), text) for text, n in re.findall(r"(\D+)(\d*)", name))] = int(shape[-1])

    with h5py.File(file) as held:
        held.visititems(look)
    return named[-1] if named else matrices[max(matrices)] if matrices else None
