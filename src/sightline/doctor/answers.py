"""What the network answers, in the terms of its own head: shares of classes, labels by themselves, yes or no."""

from __future__ import annotations

import torch

from sightline.doctor.findings import Finding, Verdict
from sightline.models.heads import each_by_itself, gives_probabilities
from sightline.models.taps import watch
from sightline.passes.passes import Passes
from sightline.types import Pixels

ALIVE = "the scores are alive"
SATURATED = 0.9999
BARELY = 0.01
"""Probabilities that differ by less over all pictures are almost alike."""
FAINT = 0.05
"""A label that gets less in every picture is not in them."""
DEAD = 1e-6
"""Scores that differ by less, relative to the largest, are the same."""
_MEANINGS = {
    "softmax": "logits of classes that exclude each other (softmax)",
    "sigmoid": "logits of labels that are each true or not by themselves (sigmoid)",
    "binary": "one logit: yes or no (sigmoid)",
    "probabilities": "probabilities of classes that exclude each other",
    "independent-probabilities": "probabilities of labels that are each true or not by themselves",
    "binary-probability": "one probability: yes or no",
}
_WITHOUT_ITS_END = "give the network without its last softmax, sigmoid or argmax"
Said = tuple[Verdict, str, str]
"""A verdict, why, and what to do."""


def meaning(passes: Passes, pixels: Pixels) -> Finding:
    """What the scores are read as, and whether somebody said so."""
    scores, declared = passes.scores(pixels), passes.classifier.head != "auto"
    said = f"they are read as {_MEANINGS[passes.head]}, as " + ("declared" if declared else "found out")
    finding = Finding(check="what the scores mean", verdict="ok", words=said)
    if declared or passes.head != "softmax":
        return finding
    if bool(((scores >= 0) & (scores <= 1)).all()):
        return Finding(
            check=finding.check,
            verdict="care",
            words=f"{said}; but all of them lie between 0 and 1",
            advice="if they are probabilities, say --head probabilities, or independent-probabilities for labels",
        )
    return Finding(
        check=finding.check, verdict="ok", words=f"{said}; where several may be true at once, say --head sigmoid"
    )


def answers(passes: Passes, pixels: Pixels) -> Finding:
    """Scores that are all the same, or probabilities that nothing moves any more."""
    scores = passes.scores(pixels)
    each = passes.probabilities(scores)
    moved = float((each.amax(0) - each.amin(0)).max())
    apart = float((scores.amax(0) - scores.amin(0)).max()) / max(1e-30, float(scores.abs().max()))
    numbers = {
        "apart": apart,
        "mean_probability": float(each.amax(1).mean()),
        "top_classes": float(len(each.argmax(1).unique())),
    }
    if apart < DEAD:
        verdict, words, advice = _dead(passes, pixels, each)
    elif float(each.amax(1).min()) > SATURATED:
        verdict, words, advice = _saturated(passes)
    elif moved < BARELY and not _faint(passes, each):
        verdict, advice = "care", "check that the weights are those of a trained network, and the preparation"
        words = f"the {len(pixels)} pictures are answered almost alike: no probability differs by more than {moved:.2%}"
    else:
        verdict, words, advice = _alive(passes, each)
    return Finding(check=ALIVE, verdict=verdict, words=words, advice=advice, numbers=numbers)


def _dead(passes: Passes, pixels: Pixels, each: torch.Tensor) -> Said:
    words = f"all {len(pixels)} pictures get the same scores: whatever is shown, the network says the same"
    if gives_probabilities(passes.head) and float(each.amax(1).min()) > SATURATED:
        return "wrong", words, f"its probabilities are 0 and 1 to the last digit: {_WITHOUT_ITS_END}"
    layer = _first_the_same(passes, pixels)
    words += "" if layer is None else f"; from layer {layer} on, two pictures cannot be told apart"
    return "wrong", words, "check that the weights were loaded and that the preparation fits"


def _saturated(passes: Passes) -> Said:
    words = f"every top probability is above {SATURATED:.2%}: hiding a part will hardly move it"
    if gives_probabilities(passes.head):
        return "care", words, _WITHOUT_ITS_END
    return "care", words, "explain scores, not probabilities: occlusion(score=logit), gradients of the logits"


def _faint(passes: Passes, each: torch.Tensor) -> bool:
    """Labels by themselves of which none is in any picture."""
    return each_by_itself(passes.head) and float(each.max()) < FAINT


def _alive(passes: Passes, each: torch.Tensor) -> Said:
    """In the head's own terms."""
    count, classes = len(each), len(each.argmax(1).unique())
    if _faint(passes, each):
        words = f"none of the {each.shape[1]} labels gets more than {float(each.max()):.1%} in any of {count} pictures"
        return (
            "care",
            words,
            "give pictures that hold what it knows, or look at the scores: --target LABEL, score=logit",
        )
    if each_by_itself(passes.head):
        top, many = each.amax(1), float((each > 0.5).sum(1).float().mean())
        words = (
            f"{each.shape[1]} labels, each by itself: the likeliest has {top.min():.0%} to {top.max():.0%} in {count} "
        )
        return "ok", f"{words}pictures, and {many:.1f} of them are above 50% on average", ""
    if passes.head in ("binary", "binary-probability"):
        yes, label = each[:, 1], passes.classifier.label(1)
        words = (
            f"one answer: “{label}” has {yes.min():.0%} to {yes.max():.0%} in {count} pictures, and more than 50% in "
        )
        said, one_sided = f"{words}{int((yes > 0.5).sum())} of them", classes == 1 and count >= 4
        return ("care", said, "give pictures of both kinds; check the preparation") if one_sided else ("ok", said, "")
    if classes == 1 and count >= 4:
        label = passes.classifier.label(int(each[0].argmax()))
        words = f"all {count} pictures are taken for one class, “{label}” ({float(each.amax(1).mean()):.0%} on average)"
        return "care", words, "check the preparation and the class names; give pictures of several classes"
    kinds = "one class" if classes == 1 else f"{classes} classes"
    return "ok", f"{kinds} for {count} pictures, mean top probability {float(each.amax(1).mean()):.0%}", ""


def _first_the_same(passes: Passes, pixels: Pixels) -> str | None:
    """The first layer that answers two different pictures alike, where there is one."""
    network, pair = passes.classifier.network, pixels[:2]
    if network is None or torch.equal(pair[0], pair[1]):
        return None
    with torch.no_grad(), watch(network) as events:
        passes.scores(pair.clone())
    for event in events:
        output = event.output
        if (
            len(output) == 2
            and output.is_floating_point()
            and float((output[0] - output[1]).abs().max()) <= DEAD * float(output.abs().max())
        ):
            return event.name
    return None
