"""All rows, peer by peer in the order of the page; a peer's package is imported only when its rows are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from parity.rows import Row


@dataclass(frozen=True)
class Peer:
    """A package whose methods stand beside ours.

    Attributes:
        name: as in the table.
        module: of this folder, with its rows.
        package: as it is installed, for its version; none where formulas are written out here.
        title: how the page calls it.
    """

    name: str
    module: str
    package: str | None
    title: str


PEERS = (
    Peer("captum", "captum_rows", "captum", "Captum"),
    Peer("grad-cam", "grad_cam_rows", "grad-cam", "pytorch-grad-cam"),
    Peer("torchcam", "torchcam_rows", "torchcam", "torch-cam"),
    Peer("zennit", "zennit_rows", "zennit", "zennit"),
    Peer("saliency", "saliency_rows", "saliency", "PAIR saliency"),
    Peer("torchray", "torchray_rows", "torchray", "TorchRay"),
    Peer("lxt", "lxt_rows", "lxt", "LXT"),
    Peer("shap", "shap_rows", "shap", "shap"),
    Peer("craft", "craft_rows", "Craft-xai", "Craft"),
    Peer("lime", "lime_rows", "lime", "lime"),
    Peer("xplique", "xplique_rows", "xplique", "Xplique"),
    Peer("authors", "authors_rows", None, "The authors' formulas"),
)


def rows(only: str = "*") -> list[Row]:
    """The rows of the peers whose name, or whose name and method as `peer:method`, fits one of the patterns."""
    found: list[Row] = []
    for peer in PEERS:
        patterns = only.split(",")
        if any(fnmatch(peer.name, pattern.partition(":")[0]) for pattern in patterns):
            listed: Sequence[Row] = importlib.import_module(f"parity.{peer.module}").ROWS
            found += [row for row in listed if any(_fits(row, pattern) for pattern in patterns)]
    return found


def _fits(row: Row, pattern: str) -> bool:
    peer, _, method = pattern.partition(":")
    return fnmatch(row.peer, peer) and fnmatch(row.method, method or "*")
