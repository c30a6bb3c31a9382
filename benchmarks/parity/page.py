"""docs/parity.md from what was measured: nothing on the page is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parity.rows import AGREED, EVERY, MANY
from parity.store import Line
from parity.table import PEERS, Peer

HEAD = """# Beside other packages

Made by `make parity`: do not edit. {about}

Each method is asked for one class of one photograph, and so is its counterpart in another package, with the same
settings, on the same network; what is drawn at random is drawn once and given to both. *Difference* is
max |ours − theirs| / max |theirs| over the map, *order* Spearman's correlation of all its values; both are the worst
over all photographs, and over the layers that are named. Maps are compared raw, where definitions coincide: at the
pixels, or on the cells of the layer, before anything is stretched or enlarged for display.

Where definitions coincide the difference is at most {agreed}: of {coincide} such comparisons on {count} networks, the
largest difference is {largest}. {purpose} more do not coincide (*by definition*), each with the reason in a note: other
definitions, other starts, or steps in which the last digit grows.
The table has {methods} methods in {rows} rows.
{full} of the {all} comparisons are on {photographs} photographs; the table says on how many each is.
"""

XPLIQUE = """Xplique is made for TensorFlow. It runs in an environment of its own, and asks the same PyTorch networks
through its `TorchWrapper`; its methods that need TensorFlow layers (Grad-CAM, Grad-CAM++, guided backpropagation,
deconvnet, FEM) cannot be asked about them.
"""
AUTHORS = """No package has these, or packages differ from the paper: the formula of the paper, or of its authors' code,
written out plainly in `benchmarks/parity/authors_*.py`, with nothing of Sightline in them.
"""
WORDS = {"xplique": XPLIQUE, "authors": AUTHORS}


def page(about: dict[str, Any], lines: Sequence[Line]) -> str:
    """The whole page."""
    exact = [one for line in lines if line.tolerance is not None for one in line.networks.values()]
    head = HEAD.format(
        about=_about(about),
        agreed=_number(AGREED),
        coincide=len(exact),
        count=len(EVERY),
        largest=_number(max((one["difference"] for one in exact), default=0.0)),
        purpose=sum(len(line.networks) for line in lines if line.tolerance is None),
        methods=len({line.method for line in lines}),
        rows=len(lines),
        full=sum(one["photographs"] >= MANY for line in lines for one in line.networks.values()),
        all=sum(len(line.networks) for line in lines),
        photographs=MANY,
    )
    parts = [head]
    for peer in PEERS:
        own = [line for line in lines if line.peer == peer.name]
        if own:
            parts.append(_section(peer, own, about))
    return "\n".join(parts)


def _about(about: dict[str, Any]) -> str:
    """With what it was measured, in one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in about.get("versions", {}).items())
    count = about.get("photographs", 0)
    return (
        f"Measured with {versions}, on a CPU with one thread a process, in float32 where no note says otherwise, on "
        f"{count} photographs (ImageNet's, asked about their true class, and two that papers show, asked about the "
        "network's first answer), with "
        "ResNet-18 and ResNet-50 (layers `layer4` and `layer3`, `layer1` where a pass a channel is needed) and "
        "ViT-Tiny (`blocks.11.norm1`), all with their trained weights; the seeds are in the methods' settings."
    )


def _section(peer: Peer, lines: Sequence[Line], about: dict[str, Any]) -> str:
    """One peer's table and its notes."""
    version = about.get("peers", {}).get(peer.name, "")
    notes: list[str] = []
    rows = [_row(line, notes) for line in lines]
    head = ["ours", "theirs", *[f"{name}: difference · order · photographs" for name in EVERY], "note"]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))
    said = "\n".join(f"{place}. {_sentence(note)}" for place, note in enumerate(notes, 1))
    return "\n".join(
        part
        for part in (f"## {peer.title} {version}".strip(), "", WORDS.get(peer.name, ""), table, "", said, "")
        if part is not None
    )


def _row(line: Line, notes: list[str]) -> list[str]:
    if line.why and line.why not in notes:
        notes.append(line.why)
    note = str(notes.index(line.why) + 1) if line.why else ""
    cells = [_cell(line, line.networks.get(name)) for name in EVERY]
    ours = f"[{line.method}](methods/{line.method}.md) `{_short(line.ours)}`"
    return [ours, f"`{line.call}`", *cells, note]


def _cell(line: Line, one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    purpose = " *by definition*" if line.tolerance is None else ""
    return f"{_number(one['difference'])} · {_order(one['spearman'])} · {one['photographs']}{purpose}"


def _short(ours: str) -> str:
    """A method's text without the layer, which the page's head names."""
    return ours.replace("layer=LAYER, ", "").replace(", layer=LAYER", "").replace("(layer=LAYER)", "")


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.2g}" if value >= 0.01 else f"{value:.0e}".replace("e-0", "e-")


def _order(value: float) -> str:
    """Rounded towards what is less, so that 1 is said of no map that is not."""
    return "1" if value >= 0.99995 else f"{int(value * 1000) / 1000:.3f}"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:].rstrip(".") + "."
