"""All races, in the order of the page."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatch

from speed import cams, curves, gradients, masks, perturbations, randomisation
from speed.names import NETWORKS
from speed.races import Race
from speed.store import Record

RACES: list[Race] = [
    *cams.RACES,
    *perturbations.RACES[:1],
    *gradients.RACES,
    *perturbations.RACES[1:],
    *masks.RACES,
    *curves.RACES,
    *randomisation.RACES,
]
QUICK = "grad-cam,ten-cams,occlusion,integrated-gradients,rise,lime,deletion-insertion,road"
"""Some of each family, which take less than five minutes together in a quick run on ResNet-50."""


def races(only: str = "*") -> list[Race]:
    """The races whose names fit one of the patterns."""
    return [race for race in RACES if any(fnmatch(race.key, pattern) for pattern in only.split(","))]


def in_order(records: Collection[Record]) -> list[Record]:
    """Network by network, race by race as in the table; races that are no more are left out, the process is last."""
    places = {race.key: place for place, race in enumerate(RACES)}
    known = [record for record in records if record.race in places and record.network in NETWORKS]
    others = [record for record in records if record.network not in NETWORKS]
    return sorted(known, key=lambda one: (NETWORKS.index(one.network), places[one.race])) + others
