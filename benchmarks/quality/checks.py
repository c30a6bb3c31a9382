"""Two questions about the measurement itself: does the judge's precision matter, and does the protocol?"""

from __future__ import annotations

from collections.abc import Sequence

from quality.contestants import baselines, own
from quality.measure import CURVES, Judge, case_of
from quality.networks import judging
from quality.photographs import Photograph
from quality.sheet import Maps
from quality.store import Check, Store, Under
from sightline.models.classifier import Classifier

BLURRED = ("deletion(steps=28, base=igos-blur)", "insertion(steps=28, base=igos-blur)")
"""The curves of the authors of I-GOS: both between the picture and the blurred picture that the mask was made with."""
COMPARED = ("grad-cam", "lrp", "i-gos", "igos-plus-plus")


def check_precision(classifier: Classifier, photographs: Sequence[Photograph], store: Store) -> None:
    """Run curves both ways, in float32 by the network as it is and by the fast judge, and note how far they differ."""
    judges = Judge(judging(classifier)), Judge(classifier, "float32")
    for photograph in photographs:
        for one in (own("grad-cam"), own("gradient"), *baselines()):
            map = one.make(case_of(classifier, photograph)).map
            fast, slow = (judge.values(map, photograph, CURVES) for judge in judges)
            for metric, apart in zip(CURVES, (a - b for a, b in zip(fast, slow, strict=True)), strict=True):
                store.add(
                    Check(tool=one.tool, method=one.method, picture=photograph.path.name, metric=metric, apart=apart)
                )


def check_protocol(classifier: Classifier, photographs: Sequence[Photograph], store: Store, maps: Maps) -> None:
    """Judge the kept maps of a few methods by the protocol of I-GOS, on photographs where all of them were kept."""
    judge = Judge(judging(classifier))
    for photograph in photographs:
        if not all(maps.has(method, [photograph]) for method in COMPARED):
            continue
        for method in COMPARED:
            map = maps.get(method, photograph, case_of(classifier, photograph))
            deletion, insertion = judge.values(map, photograph, BLURRED)
            store.add(
                Under(
                    method=method,
                    settings=own(method).settings,
                    picture=photograph.path.name,
                    blur_deletion=deletion,
                    blur_insertion=insertion,
                )
            )
