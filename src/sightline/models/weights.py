"""Weights from a file into a network: read without running anything, loaded whole or refused.

`.safetensors` holds tensors only. `.pt`, `.pth`, `.th` and `.bin` are pickles: they are read with PyTorch's
`weights_only=True`, which refuses whatever could run code, and a refused file is never read in a weaker way.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from sightline.errors import ModelError

State: TypeAlias = "dict[str, torch.Tensor]"

SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".bin")
# How training scripts call the weights in a checkpoint; averaged weights only where there are no others.
_WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params",
              "state_dict_ema", "model_ema", "ema_state_dict", "ema")  # fmt: skip
# What wrappers put into names: DataParallel, DistributedDataParallel and torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")
# What training frameworks put before all names.
_HOLDERS = ("model.", "net.", "network.")
_FEW = 3
MOST_TENSORS = 100_000
"""A header may list millions of empty tensors, each of which costs time."""
_MENDED = (2, 10)
"""The first torch in which no way is known to get out of `weights_only=True`."""


def read_weights(path: str | Path) -> State:
    """The tensors of a weights file on the CPU, by name, without wrappings and without the prefixes of wrappers.

    Raises:
        ModelError: no such file, not a weights file, empty, truncated, or holding more than tensors.
    """
    file = _weights_file(path)
    read = _read_safetensors if file.suffix.lower() == ".safetensors" else _read_pickle
    return _bare_names(_unwrap(read(file), file))


def load_into(
    network: nn.Module, state: Mapping[str, torch.Tensor], source: str = "the file", name: str | None = None
) -> None:
    """Put weights into a network: every name and shape has to fit; numbers are cast to the parameters' own type.

    Counters of batch normalisation (`num_batches_tracked`), which do not touch the scores, may be missing.

    Args:
        network: changed in place.
        state: tensors by name.
        source: what the weights are called in an error.
        name: what the network is called in an error; its class by default.

    Raises:
        ModelError: names or shapes that do not fit, with the first few of each kind; the network is then unchanged.
    """
    own = network.state_dict()
    names = {_bare(name): name for name in own}
    came = _without_holder(_bare_names(dict(state)), names)
    missing = [name for name in names if name not in came and not name.endswith("num_batches_tracked")]
    extra = [name for name in came if name not in names]
    extra.sort(key=lambda name: not name.endswith(".weight"))  # weights tell more than counters
    shapes = [
        f"{name} is {_shape(tensor)}, expected {_shape(own[names[name]])}"
        for name, tensor in came.items()
        if name in names and tensor.shape != own[names[name]].shape
    ]
    if missing or extra or shapes:
        parts = (few("missing", missing), few("unexpected", extra), few("of another shape", shapes))
        misfit = f"the weights in {source} do not fit {name or type(network).__name__}"
        raise ModelError(f"{misfit}: {'; '.join(part for part in parts if part)}")
    network.load_state_dict({**own, **{names[name]: tensor for name, tensor in came.items()}}, strict=True)


def classes_in(network: nn.Module, state: Mapping[str, torch.Tensor], classes: int) -> int | None:
    """How many classes weights have that differ from the network only in the number of classes; else none.

    Args:
        classes: how many classes the network has.
    """
    own = {_bare(name): tensor for name, tensor in network.state_dict().items()}
    came = _without_holder(_bare_names(dict(state)), own)
    other = {
        tensor.shape[0]
        for name, tensor in came.items()
        if name in own and tensor.shape != own[name].shape and _same_but_first(tensor, own[name], classes)
    }
    return other.pop() if len(other) == 1 else None


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with _weights_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(network: nn.Module) -> str:
    """The SHA-256 of a network's parameters and buffers: names, types, shapes and numbers, in the order of names.

    For networks whose weights came from no file; the same numbers give the same hash on any device.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _weights_file(path: str | Path) -> Path:
    file = Path(path).expanduser()
    if file.is_dir():
        raise ModelError(f"{file} is a folder: weights are one file ({', '.join(SUFFIXES)})")
    if not file.is_file():
        raise ModelError(f"no weights file {file}")
    if file.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{file} is no weights file that can be read: expected {', '.join(SUFFIXES)}")
    if file.stat().st_size == 0:
        raise ModelError(f"{file} is empty")
    return file


def _version() -> tuple[int, ...]:
    return tuple(int(number) for number in torch.__version__.split(".")[:2])


def _read_safetensors(file: Path) -> Any:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(file, framework="pt") as opened:
            tensors = len(opened.keys())
        if tensors > MOST_TENSORS:
            raise ModelError(f"{file} is refused: it lists {tensors:,} tensors, more than any network has")
        return load_file(file)
    except SafetensorError as error:
        raise ModelError(f"{file} is truncated or no safetensors file: {_line(error)}") from error
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {_line(error)}") from error


def _read_pickle(file: Path) -> Any:
    if _version() < _MENDED:
        raise ModelError(
            f"{file} is refused: torch {torch.__version__} can be made to run code by such a file (CVE-2026-24747, "
            "mended in 2.10): update torch, or save the weights as .safetensors"
        )
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Raised both for a file that wants to run code and for bytes that are no pickle; the way out is the same.
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        held = f"it holds {wanted[1]}, not only tensors" if wanted else "it holds more than tensors, or is damaged"
        raise ModelError(
            f"{file} is refused: {held}; save the state dict alone: torch.save(network.state_dict(), FILE)"
        ) from error
    except Exception as error:
        # Truncated and foreign files fail in torch's reader in many ways (RuntimeError, EOFError, KeyError, …).
        raise ModelError(f"{file} is truncated or was not written by torch.save: {_line(error)}") from error


def _unwrap(held: Any, file: Path) -> State:
    """The mapping from names to tensors somewhere in a checkpoint."""
    while isinstance(held, Mapping):
        tensors = {str(name): value for name, value in held.items() if isinstance(value, torch.Tensor)}
        inner = next((held[key] for key in _WRAPPINGS if isinstance(held.get(key), Mapping)), None)
        if inner is None and tensors and len(tensors) == len(held):
            return tensors
        if inner is None and tensors:
            odd = [str(name) for name, value in held.items() if not isinstance(value, torch.Tensor)]
            raise ModelError(f"{file} holds more than tensors by name: {few('other entries', odd)}")
        if inner is None:
            keys = ", ".join(map(str, list(held)[:8]))
            raise ModelError(f"{file} holds no weights under a name that is known: it has {keys or 'nothing'}")
        held = inner
    raise ModelError(f"{file} holds a {type(held).__name__}, expected tensors by name (a state dict)")


def _bare(name: str) -> str:
    """A tensor's name without what wrappers put into it: before it, and, by torch.compile, also in it."""
    bare = name.replace("._orig_mod.", ".")
    while (wrapper := next((word for word in _WRAPPERS if bare.startswith(word)), None)) is not None:
        bare = bare[len(wrapper) :]
    return bare


def _bare_names(state: State) -> State:
    bare = {_bare(name): tensor for name, tensor in state.items()}
    return bare if len(bare) == len(state) else state


def _without_holder(state: State, wanted: Mapping[str, object]) -> State:
    """The weights under the network's own names, where a training framework put one word before all of them."""
    for holder in _HOLDERS:
        if all(name.startswith(holder) for name in state) and not any(name.startswith(holder) for name in wanted):
            return {name[len(holder) :]: tensor for name, tensor in state.items()}
    return state


def _same_but_first(one: torch.Tensor, other: torch.Tensor, classes: int) -> bool:
    same_rest = one.ndim == other.ndim and one.ndim > 0 and one.shape[1:] == other.shape[1:]
    return same_rest and other.shape[0] == classes


def few(kind: str, names: list[str]) -> str:
    """`missing: a, b, c and 5 more`; nothing for no names."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"{kind}: {', '.join(names[:_FEW])}{more}" if names else ""


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"


def _line(error: BaseException) -> str:
    """The first line of an error's text, at most 160 characters."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]
