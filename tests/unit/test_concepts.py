"""Concepts of one picture and of a set: what is told, what is drawn, what is refused."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import sightline
from sightline.attribution.concepts.found import Concepts
from sightline.attribution.result import Attribution
from sightline.cli.main import main
from sightline.demo.scenes import PICTURES, render_image
from sightline.errors import NotSupportedError, SpecError, TargetError, UsageError
from sightline.models.classifier import Classifier, wrap
from sightline.passes.passes import Passes
from sightline.pictures.concepts import MOST_SHOWN, Parts, concepts_figure, in_words, segments, spotlight
from sightline.reports.content import Result, pictured
from sightline.reports.report import Told, report_html
from sightline.testing.networks import networks
from small import picture

NAMES = ("dog", "dog-and-cat", "dog-with-bell")


@pytest.fixture(scope="module")
def demo() -> Classifier:
    return sightline.load("demo")


@pytest.fixture(scope="module")
def one(demo: Classifier) -> Attribution:
    found = sightline.explain(demo, render_image(PICTURES["dog-and-cat"]), "dff(concepts=4)")
    assert isinstance(found, Attribution)
    return found


@pytest.fixture(scope="module")
def found(demo: Classifier) -> Concepts:
    return sightline.concepts(demo, [render_image(PICTURES[name]) for name in NAMES], "craft(patch=32, concepts=4)")


def test_one_picture(one: Attribution) -> None:
    height, width = one.arrays["concepts"].shape[1:]
    assert one.method.name == "deep-feature-factorisation"
    assert one.arrays["concepts"].shape == (4, height, width)
    assert one.arrays["classes"].shape == one.arrays["class_probabilities"].shape == (4, 3)
    assert set(one.arrays["classes"].ravel().tolist()) == set(one.names)
    assert all(one.names[index] in sightline.load("demo").labels for index in one.names)
    assert ((one.arrays["class_probabilities"] >= 0) & (one.arrays["class_probabilities"] <= 1)).all()


def test_another_class_has_another_map_of_the_same_concepts(demo: Classifier, one: Attribution) -> None:
    other = sightline.explain(demo, render_image(PICTURES["dog-and-cat"]), "dff(concepts=4)", target="dog")
    np.testing.assert_allclose(other.arrays["concepts"], one.arrays["concepts"])
    assert np.corrcoef(other.map.ravel(), one.map.ravel())[0, 1] < 0.9


def test_a_seed_is_another_start(demo: Classifier, one: Attribution) -> None:
    again, other = (
        sightline.explain(demo, render_image(PICTURES["dog-and-cat"]), "dff(concepts=4)", seed=seed) for seed in (0, 1)
    )
    assert (again.map == one.map).all()
    assert not (other.map == one.map).all()


def test_a_set_shares_its_concepts(found: Concepts) -> None:
    assert found.strengths.shape[:2] == found.effects.shape == (3, 4)
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=1), 1, rtol=1e-5)
    assert found.label == "dog"
    assert found.shown.shape[0] == len(found.pictures) == len(found.frames) == 3
    ranked = found.importances[found.ranked]
    assert (ranked[:-1] >= ranked[1:]).all()
    for places in found.examples:
        assert len({place.picture for place in places}) == len(places) <= 3
        assert all(one.strength >= other.strength for one, other in itertools.pairwise(places))
        assert all(place.box[2] - place.box[0] == place.box[3] - place.box[1] == 32 for place in places)
    assert "4 of 3 pictures" in repr(found)


def test_what_is_told_of_a_set_is_what_its_pictures_hold(demo: Classifier, found: Concepts) -> None:
    pixels = sightline.explain(demo, render_image(PICTURES[NAMES[0]]), "gradient").pixels
    with Passes(demo) as passes:
        cells = passes.layer(pixels, found.layer, None).activations[0].numpy()
    built = np.einsum("rhw,rk->khw", found.strengths[0], found.directions)
    assert ((cells - built) ** 2).sum() < 0.6 * (cells**2).sum()


def test_a_set_of_one_picture_is_what_explain_says(demo: Classifier, one: Attribution) -> None:
    alone = sightline.concepts(demo, render_image(PICTURES["dog-and-cat"]), "dff(concepts=4)", target=one.target.label)
    np.testing.assert_allclose(alone.strengths[0], one.arrays["concepts"], rtol=1e-5)
    np.testing.assert_allclose(alone.effects[0], one.arrays["effects"], rtol=1e-3, atol=1e-5)


def test_classes_lean_to_the_picture_where_a_class_token_stays() -> None:
    specimen = next(one for one in networks() if one.name == "class token")
    result = sightline.explain(specimen.build(), specimen.pixels(), "dff(concepts=2)")
    assert any("class token" in warning for warning in result.warnings)
    assert not any("class token" in warning for warning in sightline.explain(*_plain(), "dff(concepts=2)").warnings)


def _plain() -> tuple[torch.nn.Module, torch.Tensor]:
    specimen = networks()[0]
    return specimen.build(), specimen.pixels()


def test_refusals(demo: Classifier) -> None:
    pictures = [render_image(PICTURES[name]) for name in NAMES[:2]]
    with pytest.raises(UsageError, match="no picture"):
        sightline.concepts(demo, [])
    with pytest.raises(UsageError, match="finds no concepts: give deep-feature-factorisation or craft"):
        sightline.concepts(demo, pictures, "grad-cam")
    with pytest.raises(TargetError, match="one class"):
        sightline.concepts(demo, pictures, "dff", target="top2")
    with pytest.raises(UsageError, match=r"crops of 500 pixels.* smaller patch, such as craft\(patch="):
        sightline.explain(demo, pictures[0], "craft(patch=500)")
    with pytest.raises(SpecError, match="within=craft, got grad-cam"):
        sightline.concepts(demo, pictures, "craft(within=grad-cam)")
    with pytest.raises(SpecError, match="concepts 1 to 10, got part=11"):
        sightline.concepts(demo, pictures, "craft(within=craft, part=11)")
    with pytest.raises(UsageError, match="at a layer before its own, and both are"):
        sightline.concepts(demo, pictures, "craft(within=craft(patch=32))")
    network, pixels = _plain()
    with pytest.raises(UsageError, match="of 2 sizes"):
        sightline.concepts(network, [pixels, torch.rand(1, 3, 20, 20)], "dff(concepts=2)")
    with pytest.raises(NotSupportedError, match="needs"):
        sightline.explain(wrap(lambda x: x.flatten(1)[:, :4], head="softmax"), torch.rand(1, 3, 8, 8), "dff")


def test_a_concept_is_taken_apart_at_a_layer_before_its_own(demo: Classifier, found: Concepts) -> None:
    pictures = [render_image(PICTURES[name]) for name in NAMES]
    sooner = sightline.layers(demo)[-2].name
    text = f"craft(concepts=2, samples=4, layer={sooner}, within=craft(concepts=4, patch=12, seed=0), part=1)"
    parts = sightline.concepts(demo, pictures, text)
    assert parts.layer == sooner != found.layer
    assert len(parts.directions) == 2
    other = sightline.concepts(demo, pictures, text.replace("part=1", "part=2"))
    assert not np.allclose(parts.directions, other.directions)
    with pytest.raises(UsageError, match=r"held by \d of \d+ crops, too few for 9 concepts"):
        sightline.concepts(demo, pictures, text.replace("concepts=2", "concepts=9").replace("patch=12", "patch=32"))


def test_what_taking_apart_costs_is_foreseen(demo: Classifier) -> None:
    sooner = sightline.layers(demo)[-2].name
    text = f"craft(concepts=2, samples=4, layer={sooner}, within=craft(concepts=3, patch=12), part=1)"
    source = render_image(PICTURES["dog-and-cat"])
    (foreseen,) = sightline.plan(demo, source, text)
    result = sightline.explain(demo, source, text)
    assert isinstance(result, Attribution)
    assert foreseen.passes == result.passes


def test_figure_of_one_picture(one: Attribution) -> None:
    pytest.importorskip("matplotlib")
    drawn = sightline.figure(one, kind="concepts")
    titles = [axis.get_title() for axis in drawn.axes]
    assert [title.split("\n")[0] for title in titles[3:]] == [f"concept {place}" for place in (1, 2, 3, 4)] + [""]
    assert any(one.target.label in title for title in titles)
    with pytest.raises(UsageError, match="finds concepts"):
        sightline.figure(sightline.explain(*_plain(), "gradient"), kind="concepts")


def test_figure_of_a_set(found: Concepts) -> None:
    pytest.importorskip("matplotlib")
    drawn = sightline.figure(found, rows=2)
    words = {text.get_text() for axis in drawn.axes for text in axis.texts}
    assert {f"concept {place + 1}" for place in found.ranked[:2]} <= words
    assert len(drawn.axes) == 2 * 4
    crop = drawn.axes[1].images[0].get_array()
    best = found.examples[found.ranked[0]][0]
    top, left, bottom, right = best.box
    assert (np.asarray(crop) == found.shown[best.picture][top:bottom, left:right]).all()
    with pytest.raises(UsageError, match="kind='concepts'"):
        sightline.figure(found, kind="panels")


def parts(concepts: int) -> Parts:
    generator = np.random.default_rng(0)
    return Parts(
        picture=generator.integers(0, 256, (12, 16, 3), np.uint8),
        strengths=generator.random((concepts, 12, 16)),
        effects=np.arange(concepts, dtype=np.float32) - 1,
        classes=("cat 0.91",) * concepts,
        effect="what each adds",
        title="$ all",
    )


def test_many_concepts_are_drawn_by_what_they_matter() -> None:
    pytest.importorskip("matplotlib")
    titles = [axis.get_title().split("\n")[0] for axis in concepts_figure(parts(MOST_SHOWN + 3)).axes]
    assert [title for title in titles if title.startswith("concept")] == [f"concept {place}" for place in range(4, 13)]
    flawed = Parts(**{**vars(parts(2)), "effects": np.zeros(3)})
    with pytest.raises(UsageError, match="one of each"):
        concepts_figure(flawed)


def test_segments_are_the_strongest_concepts_colours() -> None:
    grey = np.full((4, 6, 3), 128, np.uint8)
    strengths = np.zeros((2, 4, 6))
    strengths[0, :, :2], strengths[1, :, 4:] = 1, 0.5
    drawn = segments(grey, strengths).astype(int)
    assert (drawn[0, 0] != 128).any()
    assert (drawn[0, 5] != drawn[0, 0]).any()
    assert (drawn[0, 2] == 128).all()  # no concept is there
    light = spotlight(grey, strengths[0])
    assert (light[:, :2] == 128).all()
    assert (light[:, 2:] > 200).all()


def test_classes_in_words() -> None:
    assert in_words(["cat, tabby", "dog", "fish"], [0.55, 0.3, 0.15]) == "cat 0.55, dog 0.30"
    assert in_words(["cat", "dog"], [0.04, 0.03]) == "cat 0.04"


def test_the_command_draws_concepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    words = ["explain", "demo:dog-and-cat", "--figure", "concepts.png", "--figure-kind", "concepts", "--quiet"]
    assert main([*words, "--method", "dff(concepts=3)"]) == 0
    assert Path("concepts.png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--method", "gradient"]) == 2


def test_the_command_for_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    words = ["concepts", *(f"demo:{name}" for name in NAMES), "--method", "dff(concepts=3)", "--target", "dog"]
    assert main([*words, "--figure", "set.png"]) == 0
    assert Path("set.png").read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr().out
    assert "strongest in" in told
    assert "demo:dog" in told
    assert main([*words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["target"]["label"] == "dog"
    assert sorted(one["concept"] for one in record["concepts"]) == [1, 2, 3]
    for wrong, said in (
        (["concepts"], "no picture was given"),
        ([*words, "--rows", "2"], "add --figure FILE"),
        ([*words, "--figure", "set.gif"], "png"),
        ([*words, "--method", "gradient"], "finds no concepts"),
        ([*words, "--target", "unicorn"], "no class 'unicorn'"),
    ):
        assert main(wrong) == 2
        assert said in capsys.readouterr().err


def told(one: Attribution) -> str:
    totals = {"passes": {"forward": 1, "backward": 1}, "seconds": 1.0}
    return report_html([pictured([Result(one)])], Told(totals=totals))


def test_the_report_shows_what_the_map_does_not(one: Attribution) -> None:
    page = told(one)
    assert "Deep feature factorisation: all that was found" in page
    assert len(re.findall(r'<img src="data:image/webp;base64,', page)) == 1


@pytest.mark.usefixtures("no_matplotlib")
def test_the_report_says_what_it_could_not_draw(one: Attribution) -> None:
    page = told(one)
    assert "<img" not in page
    assert "pip install &#39;sightline[figures]&#39;" in page


def test_concepts_that_fade_out_are_nothing_and_not_nan() -> None:
    """Multiplicative steps take a concept that is not used towards 0, past the smallest number there is."""
    from sightline.attribution.concepts.factors import _ratio

    above, below = (torch.tensor([value, 0.0, 1.0], dtype=torch.float64) for value in (1e-200, 1e-320))
    assert torch.isfinite(_ratio(above, below)).all()
    assert torch.isfinite(_ratio(torch.tensor([1.0]).double(), torch.tensor([5e-324]).double())).all()
    found = sightline.explain("demo/cheat", picture(64, 64)[0], "deep-feature-factorisation")
    assert isinstance(found, sightline.Attribution)
    assert found.map.max() > 0
