"""Which methods can be trusted on this network: do they keep the contract, point where it matters, need its training?

    contract  `sightline.testing.check_on_network`: the network is left as it was found, the same call gives the same
              map, pictures do not depend on those beside them, other classes have other maps, and more
    ahead     the mean over the pictures of `sightline.evaluation.elsewhere`: spreads by which a map is better than
              itself moved elsewhere, by insertion − deletion
    forgets   the mean over the pictures of `parameter-randomisation`: the rank correlation of the map with those of
              networks whose layers were drawn anew, from the scores down (Adebayo et al., NeurIPS 2018)
    alike     the rank correlation of the first picture's map with that for the strongest other class

What is concluded from them: `sightline.doctor.verdict`. A few pictures: an answer for this network, not a ranking of
methods (`sightline compare`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution
from sightline.doctor.findings import MethodFinding
from sightline.doctor.verdict import Facts, verdict
from sightline.errors import LayerError, NotSupportedError, SightlineError, UsageError
from sightline.evaluation.base import is_flat
from sightline.evaluation.elsewhere import ahead_of_copies
from sightline.evaluation.evaluate import judge_all
from sightline.evaluation.faithfulness.ranking import FAINT
from sightline.evaluation.sanity.parameter_randomisation import ParameterRandomisation
from sightline.evaluation.similarity import similarity
from sightline.evaluation.subject import of_attribution
from sightline.models.classifier import Classifier
from sightline.models.targets import resolve
from sightline.passes.passes import Passes
from sightline.testing.own_network import OnNetwork, check_on_network
from sightline.testing.report import Report
from sightline.types import Pixels

DEAR = 300
"""Passes for a map from which on a method is asked as little as can be."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is asked.

    Attributes:
        pictures: that maps are judged on.
        copies: of each map, moved elsewhere.
        steps: of deletion and insertion.
        stages: of the randomisation of parameters.
    """

    pictures: int = 2
    copies: int = 8
    steps: int = 4
    stages: int = 4


THOROUGH, QUICK = Effort(), Effort(pictures=1, copies=6, steps=4, stages=2)


def trusted(
    classifier: Classifier, pixels: Pixels, method: Method, effort: Effort = THOROUGH, *, knows: bool = True
) -> MethodFinding:
    """One method on these prepared pictures, `b c h w`, two or more; `knows`: whether the network knows any of them."""
    name, start = str(method), time.perf_counter()
    try:
        dear = _passes_of(classifier, pixels[:1], method) > DEAR
        report, case = check_on_network(method, classifier, pixels, few=dear)
        with Passes(classifier) as passes:
            facts = _facts(passes, report, case, effort, dear=dear) if knows else _unknown(report)
    except (NotSupportedError, LayerError, UsageError) as error:
        return MethodFinding(method=name, trust="refused", words=str(error))
    except SightlineError as error:
        return MethodFinding(method=name, trust="failed", words=str(error))
    trust, words, advice = verdict(method, facts)
    return MethodFinding(
        method=name,
        trust=trust,
        words=words,
        advice=advice,
        ahead=facts.ahead,
        forgets=facts.forgets,
        alike=facts.alike,
        kept=tuple(cell.statement for cell in report.cells if cell.verdict == "pass"),
        broken=tuple(f"{cell.statement}: {cell.note}" for cell in report.wrong),
        seconds=round(time.perf_counter() - start, 2),
    )


def _passes_of(classifier: Classifier, pixels: Pixels, method: Method) -> int:
    """Passes for one map; 0 where the method does not tell."""
    with Passes(classifier) as passes:
        given = pixels.to(passes.device)
        target = resolve("top", passes.scores(given), classifier.labels)[0]
        try:
            method.check(passes)
            found = method.foresee(passes, given, target)
        except NotSupportedError:  # it says so again when it is asked for a map, or only does not tell its cost
            return 0
        return found.forward + found.backward + found.short


def _facts(passes: Passes, report: Report, case: OnNetwork, effort: Effort, *, dear: bool) -> Facts:
    """What was measured of the maps; nothing more is asked of a method that does not keep the contract."""
    maps = case.maps[: effort.pictures]
    flat = sum(is_flat(one.map) for one in maps)
    facts = Facts(
        broken=report.wrong,
        kept=len(report.cells) - len(report.wrong),
        flat=flat,
        pictures=len(maps),
        likely=float(np.mean([one.target.probability for one in maps])) if maps else 0.0,
        missing=_missing(maps),
    )
    if report.wrong or flat == len(maps):
        return facts
    known = [one for one in maps if one.target.probability >= FAINT]
    each = [ahead_of_copies(passes, one, steps=effort.steps, copies=effort.copies) for one in known]
    there = [one for one in each if one is not None]
    check = ParameterRandomisation(stages=1 if dear else effort.stages)
    return facts.replaced(
        judged=len(there),
        ahead=float(np.mean(there)) if there else None,
        forgets=_forgets(passes, maps[:1] if dear else maps, check),
        alike=None if dear or case.other_map is None else similarity(case.alone, case.other_map, "spearman"),
        other=None if case.other is None else passes.classifier.label(case.other),
    )


def _unknown(report: Report) -> Facts:
    """What can be said where the network knows nothing of the pictures: whether the contract holds."""
    return Facts(broken=report.wrong, kept=len(report.cells) - len(report.wrong), flat=0, pictures=0, knows=False)


def _forgets(passes: Passes, maps: Sequence[Attribution], check: ParameterRandomisation) -> float | None:
    """The similarity to the maps of networks that forgot; None for a network without parameters."""
    try:
        return float(np.mean([judge_all(passes, of_attribution(one), [check])[0].value for one in maps]))
    except NotSupportedError:
        return None


def _missing(maps: Sequence[Attribution]) -> float | None:
    """The largest share of the difference of scores that a map misses; None where no map is to add up."""
    shares = [
        abs(one.numbers["completeness_error"]) / max(abs(one.numbers["score_difference"]), 1e-30)
        for one in maps
        if {"completeness_error", "score_difference"} <= one.numbers.keys()
    ]
    return max(shares, default=None)
