"""Words of a page: what methods are called, what is asked, what the colours mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_reports import attribution, page

from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.result import Attribution, Explained
from sightline.attribution.table import METHODS
from sightline.evaluation.table import METRICS
from sightline.percent import percent
from sightline.pictures.style import Style
from sightline.reports.report import report_html
from sightline.reports.words import question_of, words_of


def test_what_methods_and_metrics_are_called() -> None:
    assert words_of(GradCam()) == ("Grad-CAM", "Activations weighted by their mean gradient.")
    called = {cls.name: words_of(cls())[0] for table in (METHODS, METRICS) for cls in table.values()}
    wanted = {
        "grad-cam-plus-plus": "Grad-CAM++", "igos-plus": "iGOS+", "input-times-gradient": "Input × gradient",
        "grad-cam-element-wise": "Element-wise Grad-CAM", "lrp": "LRP", "guided-ig": "Guided IG", "iou": "IoU",
        "auc": "AUC", "fused-cam": "Fused CAM", "road": "ROAD",
    }  # fmt: skip
    assert {name: called[name] for name in wanted} == wanted
    assert all(name[0].isupper() or name.startswith("iGOS") for name in called.values())


def test_probabilities_are_never_told_as_none_or_all() -> None:
    told = {1: "over 99.9%", 0.9994: "99.9%", 0.5: "50.0%", 0.0006: "0.1%", 0.0004: "under 0.1%", 0: "under 0.1%"}
    assert {value: percent(value) for value in told} == told


@pytest.mark.parametrize(
    ("target", "question"),
    [
        (Explained(1, "dog", 2.0, 0.9), "Why does the network see “dog”?"),
        (Explained(0, "cat", 0.1, 0.1), "What speaks for “cat”?"),  # it sees a dog
        (Explained(1, "dog vs cat", 1.9, 0.9, against=0), "Why does the network see “dog” rather than “cat”?"),
        (Explained(0, "cat vs dog", -1.9, 0.1, against=1), "What speaks for “cat” rather than “dog”?"),
        (Explained(1, "dog vs wolf", 2.0, 0.9), "Why does the network see “dog vs wolf”?"),  # a class of that name
    ],
)
def test_the_page_does_not_say_that_the_network_sees_what_it_does_not(target: Explained, question: str) -> None:
    one = replace(attribution(), target=target)
    assert one.predictions[0].index == 1
    assert question_of([one]) == question
    assert f"<h1><bdi>{question}</bdi></h1>" in page(one)
    other = replace(one, target=Explained(7, "fox", 0.0, 0.01))
    assert question_of([one, other]) == "Why does the network see what it sees?"


def signed(low: float, high: float) -> Attribution:
    return attribution(map=np.linspace(low, high, 1024, dtype=np.float32).reshape(32, 32))


RED = "Red spoke for it, blue against it"
BRIGHT = "righter parts mattered more"
BELOW = "What its colours mean stands beneath each map"


@pytest.mark.parametrize(
    ("maps", "style", "said"),
    [
        ([signed(-1, 1)], Style(), [RED]),
        ([signed(0, 1)], Style(), [BRIGHT]),
        ([signed(-1, 1), signed(0, 1)], Style(share="map"), [RED, BRIGHT]),
        ([signed(-1, 1)], Style(colours="jet"), [BELOW]),
        ([signed(-1, 1)], Style(sign="negative"), [BELOW]),
        ([signed(-1, 1)], Style(sign="absolute"), [BRIGHT]),
    ],
)
def test_what_the_page_says_of_colours_is_true_of_all_of_them(
    maps: list[Attribution], style: Style, said: list[str]
) -> None:
    text = page(*maps, style=style)
    assert [words for words in (RED, BRIGHT, BELOW) if words in text] == said


def test_a_page_without_pictures_says_so() -> None:
    from sightline.reports.report import Told

    totals = {"pictures": 1, "passes": {"forward": 0, "backward": 0}, "seconds": 0.0}
    failure = {"picture": "a.png", "path": "a.png", "kind": "empty", "reason": "the file is empty"}
    text = report_html([], Told(totals=totals, failures=[failure]))
    assert "<h1><bdi>No picture could be explained</bdi></h1>" in text
    assert 'id="opacity"' not in text
