"""Which methods can be trusted on this network: do their maps point where it matters, and do they need what it learnt?

    ahead    the mean over the pictures of `sightline.evaluation.belief`: spreads by which a map is better than itself
             moved elsewhere, by insertion − deletion
    forgets  the mean over the pictures of `parameter-randomisation(stages=4)`: the rank correlation of the map with
             those of networks whose layers were drawn anew, from the scores down (Adebayo et al., NeurIPS 2018)

    trust         ahead by 2 or more, and forgets below ½
    do not trust  ahead by less than ½, or forgets 0.8 and more: the map hardly changes when the training is gone
    care          all others

The thresholds are ours. A few pictures: an answer for this network, not a ranking of methods (`sightline compare`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution
from sightline.doctor.findings import MethodFinding, Trust
from sightline.errors import LayerError, NotSupportedError, SightlineError
from sightline.evaluation.belief import beliefs
from sightline.evaluation.evaluate import judge_all
from sightline.evaluation.sanity.parameter_randomisation import ParameterRandomisation
from sightline.evaluation.subject import of_attribution
from sightline.models.classifier import Classifier
from sightline.passes.passes import Passes
from sightline.runs.explain import explain

USUAL = ("grad-cam", "lrp", "gradient", "integrated-gradients(steps=16)", "guided-backpropagation", "occlusion")
AHEAD, LITTLE, KEPT, STUCK = 2.0, 0.5, 0.5, 0.8
_CHECK = ParameterRandomisation(stages=4)


def trusted(classifier: Classifier, pictures: Sequence[object], method: Method) -> MethodFinding:
    """One method on these pictures."""
    name = str(method)
    try:
        maps = explain(classifier, list(pictures), [method])
        assert isinstance(maps, list)
        with Passes(classifier) as passes:
            spreads = [one.ahead for given in maps for one in beliefs(passes, [given]) if one.ahead is not None]
            forgets = _forgets(passes, maps)
    except (NotSupportedError, LayerError) as error:
        return MethodFinding(method=name, trust="refused", words=str(error))
    except SightlineError as error:
        return MethodFinding(method=name, trust="failed", words=str(error))
    ahead = float(np.mean(spreads)) if spreads else None
    trust, words = _verdict(ahead, forgets)
    return MethodFinding(method=name, trust=trust, words=words, ahead=ahead, forgets=forgets)


def _forgets(passes: Passes, maps: Sequence[Attribution]) -> float | None:
    """The similarity to the maps of networks that forgot; None for a network without parameters."""
    try:
        return float(np.mean([judge_all(passes, of_attribution(one), [_CHECK])[0].value for one in maps]))
    except NotSupportedError:
        return None


def _verdict(ahead: float | None, forgets: float | None) -> tuple[Trust, str]:
    said = []
    if ahead is None:
        return "do not trust", "its maps are flat"
    side = "better" if ahead >= 0 else "worse"
    said.append(f"{abs(ahead):.1f} spreads {side} than itself moved elsewhere")
    if forgets is not None:
        said.append(f"rank correlation {forgets:.2f} with networks that forgot their training")
    words = "; ".join(said)
    if forgets is not None and forgets >= STUCK:
        return "do not trust", f"{words}: it shows the picture, not the network"
    if ahead < LITTLE:
        return "do not trust", f"{words}: its highest pixels are not those that matter"
    if ahead >= AHEAD and (forgets is None or forgets < KEPT):
        return "trust", words
    return "care", words
