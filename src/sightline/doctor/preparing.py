"""The preparation, as a finding: `sightline.models.preparation_check` with the pictures of an examination."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.doctor.findings import Finding
from sightline.errors import ModelError
from sightline.images.load import Picture
from sightline.models.classifier import Classifier
from sightline.models.intake import Prepared
from sightline.models.preparation_check import check_preparation

FEWEST = 4
CHECK = "the preparation"
_MOST = 16


def preparation(classifier: Classifier, ready: Sequence[Prepared]) -> Finding:
    """The declared preparation against the usual others; a hint, which needs pictures that the network knows.

    Args:
        classifier: the network.
        ready: the pictures; prepared input says nothing of how pictures are prepared.
    """
    shown: list[Picture] = [one.picture for one in ready if one.picture.format != "prepared"]
    if len(shown) < FEWEST:
        words = f"{len(shown)} pictures came, and {FEWEST} or more that the network knows are needed"
        return Finding(check=CHECK, verdict="not asked", words=words, advice="give more photographs of its classes")
    try:
        found = check_preparation(classifier, shown, most=_MOST)
    except ModelError as error:
        return Finding(check=CHECK, verdict="not asked", words=str(error))
    numbers = {"declared": found.declared.mean, "declared_confidence": found.declared.confidence} | {
        one.name: one.mean for one in found.others
    }
    told = f"as declared: {found.declared.words}"
    if found.suspect is not None:
        best = found.suspect
        return Finding(
            check=CHECK,
            verdict="wrong",
            words=f"it knows more of these pictures when they are given as {best.name} ({best.words}; {told})",
            advice=f"look at the card of the weights, or try --preparation {best.preparation.text()!r}",
            numbers=numbers,
        )
    if found.declared.unsure and all(one.unsure for one in found.others):
        return Finding(
            check=CHECK,
            verdict="not asked",
            words=f"{told}: it is no surer of these pictures than of noise, prepared in this way or another",
            advice="such a network tells nothing of its preparation: look at the card of the weights",
            numbers=numbers,
        )
    if (turned := found.turned) is not None:
        return Finding(
            check=CHECK,
            verdict="care",
            words=f"it is surer of these pictures when they are given as {turned.name} ({turned.words}; {told})",
            advice=f"try --preparation {turned.preparation.text()!r} on pictures whose classes you know",
            numbers=numbers,
        )
    undeclared = classifier.preparation is None
    return Finding(
        check=CHECK,
        verdict="care" if undeclared else "ok",
        words=f"{told}; no usual other way tells it clearly more",
        advice="no preparation was declared: RGB from 0 to 1 at the picture's own size was given" if undeclared else "",
        numbers=numbers,
    )
