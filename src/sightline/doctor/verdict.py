"""From what was measured of a method on a network to an answer, why, and what to do.

    do not trust  a statement of the contract does not hold; or all maps are flat; or |forgets| is 0.8 and more: the map
                  hardly changes when the training is gone; or ahead by less than ½ on two pictures or more
    unclear       the network knows nothing of the pictures (`sightline.doctor.learnt`), or gives what is explained less
                  than 5 %: there is little to lose or to win; or it was judged on one picture, where ahead between −2
                  and ½ may be chance, and |forgets| is below ½
    trust         ahead·√n by 2 or more over n pictures, |forgets| below ½, alike below 0.9, nothing missing
    care          all others

The thresholds are ours. `forgets` counts by its distance from 0: a map that is only turned round has kept its pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sightline.attribution.base import Method
from sightline.doctor.findings import Trust
from sightline.testing.report import Cell

AHEAD, LITTLE, KEPT, STUCK, ALIKE, MISSING = 2.0, 0.5, 0.5, 0.8, 0.9, 0.1
_BROKEN = {
    "S1": "this is a defect of the method or of the network's own hooks: load the network anew, and report it",
    "S3": "this is a defect of the method or of the network's own hooks: load the network anew, and report it",
    "S5": "call it outside of torch.inference_mode, and report it",
    "R1": "look whether the network draws random numbers or keeps a state between calls; if not, report it",
    "M7": "report it, with the network's size of input",
    "M8": "explain pictures one by one, and look whether the network mixes the pictures of a batch",
    "M9": "do not ask it why this class: it does not look at the class here",
    "C1": "do not rely on its sum, and report it",
}
_COMPARE = "hold it against others on more pictures: sightline compare PICTURES --methods"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was measured of one method on one network.

    Attributes:
        broken: statements of the contract that do not hold.
        kept: how many do.
        flat, pictures: how many maps are the same everywhere, of how many.
        likely: the mean probability of what was explained.
        missing: the share of a difference of scores that a map misses, where it is to add up.
        judged: on how many pictures `ahead` could be measured.
        ahead, forgets, alike: as in `sightline.doctor.trusting`; None where they could not be measured.
        other: the other class.
        knows: whether the network knows the pictures at all (`sightline.doctor.learnt`); if not, only the contract was
            looked at.
    """

    broken: Sequence[Cell]
    kept: int
    flat: int
    pictures: int
    likely: float = 0.0
    missing: float | None = None
    judged: int = 0
    ahead: float | None = None
    forgets: float | None = None
    alike: float | None = None
    other: str | None = None
    knows: bool = True

    def replaced(self, **changes: Any) -> Facts:
        """The same with some of it known."""
        return replace(self, **changes)


def verdict(method: Method, facts: Facts) -> tuple[Trust, str, str]:
    """The answer, why, and what to do."""
    if facts.broken:
        cell = facts.broken[0]
        advice = _BROKEN.get(cell.statement.partition("-")[0], "report it")
        return "do not trust", f"it does not keep the contract on this network ({cell.words} {cell.note})", advice
    if not facts.knows:
        said = "the network hardly knows these pictures, so that no map of it is right or wrong"
        holds = f"all {facts.kept} statements of the contract hold"
        return "unclear", f"{said}; {holds}", "ask again with trained weights and photographs of its classes"
    if facts.flat == facts.pictures:
        way = "another layer, or occlusion"
        if method.traits.family == "perturbation":
            way = "score=logit where the network gives logits, or larger parts"
        advice = f"look at the findings about scores and gradients above; try {way}"
        return "do not trust", "its maps are the same everywhere: they say nothing", advice
    words = "; ".join(_measured(facts))
    if facts.forgets is not None and abs(facts.forgets) >= STUCK:
        same = "hardly changes" if facts.forgets > 0 else "is only turned round"
        said = f"{words}: the map {same} when the training is gone, so it shows the picture, not the network"
        return "do not trust", said, "take it as a drawing of the picture's edges, and a trusted method for reasons"
    if facts.ahead is None:
        return "unclear", words, "give pictures that the network knows and is not sure of to the last digit"
    if -AHEAD < facts.ahead < LITTLE and facts.judged < 2 and abs(facts.forgets or 0) < KEPT:
        advice = f"ask without --quick, or {_COMPARE} {method.name},…"
        return "unclear", f"{words}: on one picture that may be chance", advice
    if facts.ahead < LITTLE:
        return "do not trust", f"{words}: its highest pixels are not those that matter", f"{_COMPARE} {method.name},…"
    return _with_care(facts, facts.ahead, words)


def _with_care(facts: Facts, ahead: float, words: str) -> tuple[Trust, str, str]:
    """What points where it matters, and may still need a caution."""
    if facts.missing is not None and facts.missing > MISSING:
        advice = "give it more steps or samples, and look at completeness_error of each result"
        return "care", f"{words}; its sum misses up to {facts.missing:.0%} of the difference of scores", advice
    if facts.alike is not None and facts.alike >= ALIKE:
        said = f"{words}: it shows what the network looks at, hardly why this class"
        return "care", said, "ask for a contrast, --target A-vs-B, or take a method that tells classes apart"
    if facts.flat:
        return "care", f"{words}; {facts.flat} of {facts.pictures} maps are the same everywhere", "look at each map"
    if facts.forgets is not None and abs(facts.forgets) >= KEPT:
        said = f"{words}: part of the map stays when the training is gone"
        return "care", said, "compare each map with that of a trusted method before you rely on it"
    if ahead * facts.judged**0.5 < AHEAD:
        return "care", f"{words}: it points roughly where it matters", "judge single maps: sightline explain --judge"
    return "trust", words, ""


def _measured(facts: Facts) -> list[str]:
    """The numbers in words."""
    said = []
    if facts.ahead is not None:
        side = "better" if facts.ahead >= 0 else "worse"
        on = "one picture" if facts.judged == 1 else f"{facts.judged} pictures"
        said.append(f"on {on} its maps are {abs(facts.ahead):.1f} spreads {side} than themselves moved elsewhere")
    else:
        said.append(
            f"the network gives what is explained {facts.likely:.1%}, and hiding parts moves too little to tell a good "
            "map from a bad one"
        )
    if facts.forgets is not None:
        said.append(f"rank correlation {facts.forgets:.2f} with those of networks that forgot their training")
    if facts.alike is not None:
        said.append(f"{facts.alike:.2f} with that for {facts.other!r}")
    said.append(f"all {facts.kept} statements of the contract hold")
    return said
