"""Whether a TorchScript archive may be opened: what its code names, read before anything of it is run.

`torch.jit.load` runs no Python: the archive's pickles are read by torch's own reader, which makes tensors and the
classes of the archive's code and nothing else, and that code is TorchScript, a small language without imports, files
or sockets. Two doors are open all the same: the operations of torch that touch files (`torch.save` writes anywhere,
`torch.from_file` maps a file into memory), and those of other libraries that are loaded (torchvision's read and write
files). Some code, `__setstate__`, is run by loading alone. An archive that names any of these is refused. TorchScript
has no way to name an operation but by its own letters, so that its text can be searched.

torch's reader is trusted to survive damaged bytes; a file of somebody whom you would not trust with that is not safe.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import torch

from sightline.errors import ModelError

_ALWAYS = frozenset({"save", "load", "from_file", "load_tensor", "dist_backward"})
_OF_FILES = re.compile(r"str\??\s+(?:\w*file\w*|\w*path|url)\b")
_NAMESPACES = ("aten", "prim", "quantized")
_CLASSES = ("quantized", "sparse")
_GETATTR = re.compile(r'\bgetattr\(\w+, "[^"\\]*"\)')


def check_safe(file: Path) -> None:
    """Read the code of an archive, and refuse what could reach beyond tensors.

    Raises:
        ModelError: no TorchScript archive, or one whose code names what it must not.
    """
    for name, text in _code(file):
        if found := _unsafe(text):
            raise ModelError(f"{file} is refused: its code ({name}) names {found}, which reaches beyond tensors")


def _code(file: Path) -> list[tuple[str, str]]:
    """The archive's code by file, by the very reader that `torch.jit.load` uses."""
    try:
        reader: Any = torch._C.PyTorchFileReader(str(file))
        names = reader.get_all_records()
        code = [name for name in names if name.startswith("code/") and not name.endswith("debug_pkl")]
        read = [(name, reader.get_record(name).decode("utf-8")) for name in code]
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{file} is no TorchScript archive: expected a file of torch.jit.save; weights alone go with "
            "--model NAME --weights FILE"
        ) from error
    if "constants.pkl" in names and read and "model.json" not in names:
        return read
    raise ModelError(
        f"{file} holds no TorchScript, but what torch.save writes: a pickled network is never opened, since that would "
        "run its code; weights alone go with --model NAME --weights FILE"
    )


def _unsafe(text: str) -> str | None:
    """The first thing in the code that is not allowed, in words."""
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    if found := sorted(words & _touching_files()) or sorted(word for word in words if word.startswith("rpc_")):
        return repr(found[0])
    spaces = re.findall(r"\bops\.(\w+)\.", text)
    if len(spaces) != len(re.findall(r"\bops\b", text)) or not set(spaces) <= set(_NAMESPACES):
        others = sorted(set(spaces) - set(_NAMESPACES))
        return f"operations of {others[0]!r}" if others else "'ops' in an unusual way"
    classes = re.findall(r"\btorch\.classes\.(\w+)\.", text)
    if len(classes) != len(re.findall(r"\bclasses\b", text)) or not set(classes) <= set(_CLASSES):
        return f"classes of {classes[0]!r}" if classes else "'classes' in an unusual way"
    if len(_GETATTR.findall(text)) != len(re.findall(r"\bgetattr\b", text)):
        return "'getattr' in an unusual way"
    return None


@cache
def _touching_files() -> frozenset[str]:
    """The operations of this torch that take the name of a file."""
    schemas = (str(schema) for schema in torch._C._jit_get_all_schemas())
    found = {re.split(r"[.(]", text.split("::", 1)[1])[0] for text in schemas if _OF_FILES.search(text)}
    return frozenset(found - {"einsum"}) | _ALWAYS
