"""A race: one piece of work, ours beside every package that can do it, on the same network and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from speed.names import NETWORKS
from speed.subjects import Asked

Maps: TypeAlias = Sequence[torch.Tensor]
"""One map or several, each `h w` or `c h w`."""
Make: TypeAlias = Callable[[Asked, int], Maps]
"""The work itself, with how many of its parts (masks, steps, windows) are done."""
Ready: TypeAlias = Callable[[Asked, int], Asked]
Fit: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Our map, brought to what a package's map is by definition, from ours and theirs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Peer:
    """Another package.

    Attributes:
        name: of the package.
        call: what it is asked, in words.
        make: its maps.
        fits: what is done to our maps before they are compared, over and over where maps are more.
        compare: whether its maps are comparable with ours at all; not where each draws its own samples.
        pictures: on how many of the race's pictures it runs; its time is scaled to all of them.
        half: whether it does only one of two equal halves of the work; its time is doubled.
        networks: that it can be asked about.
    """

    name: str
    call: str
    make: Make
    fits: Sequence[Fit] = ()
    compare: bool = True
    pictures: int | None = None
    half: bool = False
    networks: Sequence[str] = NETWORKS


@dataclass(frozen=True, eq=False, kw_only=True)
class Race:
    """One row of the table.

    Attributes:
        key: its name on the command line.
        title: its name on the page.
        ours: our maps, by precision.
        peers: the others.
        parts: how many masks, steps or windows are asked for.
        share: how many of them are run, and the time scaled; all where none is given.
        quick: how many of them are run in a quick run.
        whole: whether ours runs all parts where the others run a share: what is prepared once, such as a program, must
            not be scaled with what is done for each part.
        pictures: how many pictures are explained.
        forward: forward passes that the work needs, for all its parts and pictures.
        both: forward and backward passes down to the pixels that it needs, besides.
        batch: how many pictures go through the network at once in the plain pass that makes the limit.
        targets: by network, the ratio to the fastest package that is asked for, in float32 and fast.
        within: times the limit that the work may take, where that is asked for.
        networks: on which.
        ready: what is done with the network before, untimed.
        repeats: how often everybody runs; fewer where a run takes minutes.
        warm: parts of the untimed go; none: others have one plain pass there, where fewer parts cannot be asked for.
        note: what must be known to read the row.
    """

    key: str
    title: str
    ours: Callable[[str], Make]
    peers: Sequence[Peer]
    parts: int = 1
    share: int | None = None
    quick: int | None = None
    whole: bool = False
    pictures: int = 1
    forward: int = 0
    both: int = 0
    batch: int = 16
    targets: dict[str, tuple[float, float]] = field(default_factory=dict)
    within: float | None = None
    networks: Sequence[str] = NETWORKS
    ready: Ready | None = None
    repeats: int = 3
    warm: int | None = 16
    note: str = ""

    def parts_run(self, mode: str) -> int:
        """How many parts are run: in a `quick`, an ordinary (`share`) or a `full` run."""
        chosen = {"quick": self.quick or self.share, "share": self.share, "full": None}[mode]
        return chosen or self.parts

    def own_parts(self, mode: str) -> int:
        """How many of them ours runs."""
        return self.parts if self.whole and mode == "share" else self.parts_run(mode)


def everywhere(exact: float, fast: float) -> dict[str, tuple[float, float]]:
    """The target of the issue, which is stated for ResNet-50."""
    return {"ResNet-50": (exact, fast)}
