"""Parts of a hand-written page that come from the code: what stands between two marks is a docstring.

<!-- code: sightline.images.colour -->      a module: its docstring after the first paragraph
<!-- code: package.module.Class -->         a class: its docstring, "Attributes:" and "Raises:" as a list
<!-- code: contract -->                     the statements that `check_method` holds a method to
<!-- code: networks -->                     the small networks that it does so on
<!-- end -->
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from making.pages import laid_out
from sightline.testing import contract, networks

_MARKED = re.compile(r"(<!-- code: ([\w.]+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def filled(text: str) -> str:
    """A page with its marked parts as the code says."""
    return _MARKED.sub(lambda mark: f"{mark[1]}{told(mark[2])}\n{mark[3]}", text)


def told(name: str) -> str:
    """What the code says under a name."""
    if name == "contract":
        return _contract()
    if name == "networks":
        return ", ".join(specimen.name for specimen in networks()) + "."
    found = _find(name)
    doc = inspect.cleandoc(found.__doc__ or "")
    if isinstance(found, ModuleType):
        return laid_out(doc.partition("\n\n")[2])
    return "\n\n".join(_paragraph(block) for block in doc.split("\n\n"))


def _find(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return getattr(importlib.import_module(module), member)


def _paragraph(block: str) -> str:
    """A paragraph; a section such as "Attributes:", or lines of `name: meaning`, as a list."""
    head, _, rest = block.partition("\n")
    entries = textwrap.dedent(rest) if head.endswith(":") and rest.startswith("    ") else ""
    if not entries and re.match(r"\w+(, \w+)*: ", head) and "\n" in block:
        entries = block
    if not entries:
        return block
    joined = re.sub(r"\n +", " ", entries)
    return "\n".join(re.sub(r"^([\w, ]+): ", r"- `\1`: ", line) for line in joined.splitlines())


def _contract() -> str:
    """Every statement with its words, in the order in which it is checked."""
    rows: list[tuple[str, Sequence[Callable[..., None]]]] = [
        ("left as found, also where refused", contract.ALSO_WHERE_REFUSED)
    ]
    rows += [("on every network that is not refused", contract.ON_EVERY_NETWORK)]
    rows += [("on networks with a known answer", contract.WITH_OWN_NETWORKS)]
    lines = ["| statement | what must hold | where |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(line for where, checks in rows for line in _statements(where, checks))])


def _statements(where: str, checks: Sequence[Callable[..., None]]) -> list[str]:
    found = []
    for check in checks:
        letter, _, rest = check.__name__.partition("_")
        words = " ".join((check.__doc__ or "").split())
        found.append(f"| {letter.upper()} {rest.replace('_', ' ')} | {words} | {where} |")
    return found
