"""`evaluate`: what goes in, what comes out, what is shared, what is refused, what is warned of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sightline.attribution.result import Attribution
from sightline.errors import (
    CancelledError,
    NonFiniteError,
    PictureError,
    SightlineError,
    SpecError,
    TargetError,
    UsageError,
)
from sightline.evaluation.base import Metric, Question
from sightline.evaluation.evaluate import evaluate
from sightline.evaluation.result import Judgement
from sightline.evaluation.table import METRICS
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier, wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.runs.explain import explain

BOX = (4, 2, 12, 8)
SIZE = (16, 20)


class Net(nn.Module):
    def __init__(self, classes: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(6, classes)
        self.asked = 0
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.asked += len(pixels)
        return self.head(self.convolution(pixels).relu().mean((2, 3)))


def tensor(seed: int = 0, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def photo(size: tuple[int, int] = (30, 40), name: str = "") -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    return Image.fromarray(values)


def cropping() -> Classifier:
    """16 × 16 in the middle of a picture that is resized to 20 pixels on its shorter side."""
    return wrap(Net(), labels=list("abcd"), preparation=Preparation(resize=20, crop=(16, 16)))


def explained(model: Any, source: Any, target: Any = 1) -> Attribution:
    found = explain(model, source, "gradient", target=target)
    assert isinstance(found, Attribution)
    return found


def one(*args: Any, **more: Any) -> Judgement:
    found = evaluate(*args, **more)
    assert isinstance(found, Judgement)
    return found


def many(*args: Any, **more: Any) -> list[Judgement]:
    found = evaluate(*args, **more)
    assert isinstance(found, list)
    return found


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_one_map_and_one_metric_give_one_judgement() -> None:
    model = Net()
    found = one(model, explained(model, tensor()), "deletion(steps=5)")
    assert 0 <= found.value <= 1
    assert str(found.metric) == "deletion(steps=5)"
    assert found.curve is not None
    assert len(found.curve.x) == len(found.curve.y) == 6
    assert found.seconds > 0
    assert found.curve.y[0] == pytest.approx(explained(model, tensor()).target.probability, abs=1e-6)


def test_lists_come_out_map_by_map_and_within_a_map_metric_by_metric() -> None:
    model = Net()
    maps = explain(model, [tensor(0), tensor(1)], ["gradient", "integrated-gradients"], target=2)
    names = ["insertion(steps=3)", "deletion(steps=3)"]
    found = many(model, maps, names)
    assert [str(judgement.metric) for judgement in found] == names * 4
    assert [judgement.value for judgement in found] == [
        one(model, a_map, name).value for a_map in maps for name in names
    ]
    assert "tensor 1" in found[-1].subject
    assert "integrated-gradients" in found[-1].subject
    assert isinstance(evaluate(model, maps[0], ["deletion(steps=3)"]), list)
    assert len(many(model, maps[0])) == 2


def test_metrics_on_one_map_share_the_clean_pass_and_count_it_each() -> None:
    model = Net()
    a_map = explained(model, tensor())
    model.asked = 0
    found = many(model, a_map, ["deletion(steps=4)", "insertion(steps=6)", "pointing-game"], mask=BOX)
    counted = [int(judgement.details["steps"]) + 1 for judgement in found[:2]]
    assert [judgement.passes.forward for judgement in found] == [*counted, 0]
    assert all(judgement.passes.backward == 0 for judgement in found)
    assert model.asked == 1 + sum(counted) - 2


def test_metrics_of_place_do_not_ask_the_network() -> None:
    model = Net()
    a_map = explained(model, tensor())
    model.asked = 0
    many(model, a_map, ["pointing-game", "relevance-mass"], mask=BOX)
    assert model.asked == 0


def test_the_network_is_left_as_it_was() -> None:
    model = nn.Sequential(Net(), nn.Dropout(0.5), nn.BatchNorm1d(4)).train()
    a_map = explained(model, tensor())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = one(model, a_map, "deletion(steps=5)")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert first.value == one(model, a_map, "deletion(steps=5)").value


def test_the_record_is_json_and_the_drawing_escapes() -> None:
    model = wrap(Net(), labels=["<b>", "<script>", "c", "d"])
    found = one(model, explained(model, tensor()), "insertion(steps=4)")
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["metric"]["spec"] == "insertion(steps=4)"
    assert record["value"] == found.value
    assert len(record["curve"]["x"]) == found.passes.forward
    page = found._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<svg" in page
    assert "insertion(steps=4)" in repr(found)


def test_contrasts_and_one_logit_heads_have_curves_of_probabilities() -> None:
    model = Net()
    contrast = explained(model, tensor(), (1, 3))
    found = one(model, contrast, "deletion(steps=4)")
    assert found.curve is not None
    assert found.curve.y[0] == pytest.approx(contrast.target.probability, abs=1e-6)
    yes_or_no = Net(classes=1)
    for target in (0, 1):
        a_map = explained(yes_or_no, tensor(), target)
        curve = one(yes_or_no, a_map, "deletion(steps=4)").curve
        assert curve is not None
        assert curve.y[0] == pytest.approx(a_map.target.probability, abs=1e-6)


def test_memory_and_batches_change_nothing() -> None:
    model = Net()
    a_map = explained(model, tensor())
    whole, small = (one(model, a_map, "deletion(steps=9)", memory=memory).value for memory in (1 << 30, 1))
    assert whole == pytest.approx(small, abs=1e-6)


def test_a_progress_function_can_stop_it() -> None:
    model = Net()
    with pytest.raises(CancelledError):
        evaluate(model, explained(model, tensor()), "deletion", progress=lambda done, total: False)


# ---- masks -----------------------------------------------------------------------------------------------------------


def test_a_mask_is_a_box_booleans_numbers_or_a_picture(tmp_path: Path) -> None:
    model = Net()
    a_map = explained(model, tensor())
    mask = np.zeros(SIZE, bool)
    mask[2:8, 4:12] = True
    white = Image.fromarray((mask * 255).astype(np.uint8))
    white.save(tmp_path / "mask.png")
    white.convert("1").save(tmp_path / "one_bit.png")
    paths = [tmp_path / "mask.png", str(tmp_path / "one_bit.png")]
    forms = [
        mask,
        BOX,
        list(BOX),
        np.array(BOX),
        torch.from_numpy(mask),
        mask * 1.0,
        mask.astype(np.uint8) * 255,
        white,
    ]
    values = [one(model, a_map, "relevance-mass", mask=form).value for form in (*forms, *paths)]
    assert 0 < values[0] < 1
    assert len(set(values)) == 1
    assert one(model, a_map, "relevance-mass", mask=~mask).value == pytest.approx(1 - values[0])


def test_a_transparent_background_is_not_the_object() -> None:
    model = Net()
    a_map = explained(model, tensor())
    picture = np.zeros((*SIZE, 4), np.uint8)
    picture[2:8, 4:12] = 255
    found = one(model, a_map, "relevance-mass", mask=Image.fromarray(picture))
    assert found.value == one(model, a_map, "relevance-mass", mask=BOX).value


def test_a_list_of_masks_gives_each_map_its_own() -> None:
    model = Net()
    maps = explain(model, [tensor(0), tensor(1)], "gradient", target=2)
    boxes = [BOX, (0, 0, 3, 3)]
    found = many(model, maps, "relevance-mass", mask=boxes)
    assert [judgement.value for judgement in found] == [
        one(model, a_map, "relevance-mass", mask=box).value for a_map, box in zip(maps, boxes, strict=True)
    ]
    with pytest.raises(UsageError, match="3 masks for 2 maps"):
        evaluate(model, maps, "relevance-mass", mask=[BOX] * 3)


def wrong_masks() -> list[tuple[Any, str]]:
    classes = np.arange(320).reshape(SIZE)
    return [
        (None, "relevance-mass needs to know where the object is: give mask="),
        (np.zeros(SIZE, bool), "empty"),
        (np.ones((20, 16), bool), "20 × 16 came for a picture of 16 × 20"),
        (classes, "more than two values"),
        (classes.astype(float) / 320, "more than two values"),
        ((4, 2, 30, 8), "20 wide and 16 high"),
        ((12, 2, 4, 8), "does not fit"),
        ((0, 0, 0.3, 0.3), "empty"),
        (Image.fromarray(np.ones(SIZE, np.uint8)), "brightest is 1 of 255"),
        ({"box": BOX}, "got dict"),
    ]


@pytest.mark.parametrize(("mask", "says"), wrong_masks())
def test_a_wrong_mask_is_refused_in_one_line(mask: Any, says: str) -> None:
    model = Net()
    with pytest.raises(UsageError, match=says.replace("(", r"\(")) as refused:
        evaluate(model, explained(model, tensor()), "relevance-mass", mask=mask)
    assert "\n" not in str(refused.value)


def test_what_is_of_no_use_or_cannot_be_read_is_refused() -> None:
    model = Net()
    a_map = explained(model, tensor())
    with pytest.raises(UsageError, match="mask was given, but deletion uses none"):
        evaluate(model, a_map, "deletion", mask=BOX)
    with pytest.raises(PictureError, match="no such file"):
        evaluate(model, a_map, "pointing-game", mask="nowhere.png")
    with pytest.raises(SpecError, match="did you mean 'deletion'"):
        evaluate(model, a_map, "deletoin")
    with pytest.raises(SpecError, match="steps must be at least 1"):
        evaluate(model, a_map, "deletion(steps=0)")
    with pytest.raises(UsageError, match="no metric"):
        evaluate(model, a_map, [])
    with pytest.raises(UsageError, match="brings its own"):
        evaluate(model, a_map, "deletion", target=2)
    with pytest.raises(UsageError, match="got str"):
        evaluate(model, "map.png", "deletion")


# ---- what is warned of -----------------------------------------------------------------------------------------------


def test_an_object_that_was_cropped_away_is_told() -> None:
    model = cropping()
    a_map = explained(model, photo())
    found = many(model, a_map, ["pointing-game(tolerance=0)", "relevance-mass"], mask=(0, 0, 5, 30))
    assert all("100% of the object lies outside" in judgement.warnings[0] for judgement in found)
    assert [judgement.value for judgement in found] == [0, 0]
    assert many(model, a_map, ["relevance-mass"], mask=(15, 10, 20, 20))[0].warnings == ()
    whole = one(model, a_map, "relevance-mass", mask=np.ones((30, 40), bool))
    assert "whole picture" in whole.warnings[0]
    assert whole.value == 1


def test_a_map_of_evidence_against_points_only_where_the_network_looked() -> None:
    model = cropping()
    against = np.full((16, 16), -2.0)
    against[8, 8] = -1
    row, column = explained(model, photo()).frame.point_to_picture(8, 8)
    found = one(model, against, "pointing-game", picture=photo(), target="b", mask=(19, 14, 23, 18))
    assert abs(found.details["row"] - row) <= 1
    assert abs(found.details["column"] - column) <= 1
    assert found.value == 1
    mass = one(model, against, "relevance-mass", picture=photo(), target="b", mask=(19, 14, 23, 18))
    assert mass.value == 0
    assert "no positive values" in mass.warnings[0]


def test_a_flat_map_is_told() -> None:
    flat = np.ones(SIZE)
    judged = many(Net(), flat, ["deletion(steps=3)", "pointing-game"], picture=tensor(), target=1, mask=BOX)
    assert all(any("flat" in warning for warning in judgement.warnings) for judgement in judged)
    two = np.zeros(SIZE)
    two[3, 3] = two[5, 5] = 1
    assert "2 pixels share" in one(Net(), two, "pointing-game", picture=tensor(), target=1, mask=BOX).warnings[0]


def test_a_target_that_the_network_hardly_sees_is_told() -> None:
    def sure(pixels: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[9.0, 0.0]]).expand(len(pixels), 2)

    found = one(sure, np.arange(320.0).reshape(SIZE), "deletion(steps=3)", picture=tensor(), target=1)
    assert "gives the target under 0.1% in" in found.warnings[0]


def test_another_network_is_told_or_refused() -> None:
    model = Net()
    a_map = explained(model, tensor(), "top")
    assert one(model, a_map, "deletion(steps=3)").warnings == ()
    assert any("not the same network" in text for text in one(Net(seed=7), a_map, "deletion(steps=3)").warnings)
    with pytest.raises(TargetError, match="classes 0 to 1"):
        evaluate(Net(classes=2), explained(model, tensor(), 3), "deletion")
    assert one(model, a_map, "deletion(steps=3)", precision="fast").warnings == ()


# ---- maps of other tools ---------------------------------------------------------------------------------------------


def test_a_map_of_another_tool_is_judged_like_ours() -> None:
    model = cropping()
    ours = explained(model, photo(), "c")
    names = ["deletion(steps=8)", "insertion(steps=8)", "pointing-game", "relevance-mass"]
    box = (15, 10, 24, 20)
    expected = [judgement.value for judgement in many(model, ours, names, mask=box)]
    for theirs in (ours.map, ours.map.astype(np.float64), torch.from_numpy(ours.map)):
        found = many(model, theirs, names, mask=box, picture=photo(), target="c")
        assert [judgement.value for judgement in found] == expected
        assert found[0].subject.endswith(": c")
    in_picture = many(model, ours.picture_map, names, mask=box, picture=photo(), target=2)
    assert [judgement.value for judgement in in_picture[2:]] == expected[2:]
    assert in_picture[0].value == pytest.approx(expected[0], abs=0.1)


def test_what_a_map_of_the_picture_says_of_unseen_parts_is_left_out_and_told() -> None:
    model, box = cropping(), (15, 10, 24, 20)
    ours = explained(model, photo(), "c")
    beyond = ours.picture_map + np.where(ours.seen, 0, 9)
    names = ["deletion(steps=8)", "pointing-game", "relevance-mass"]
    same = many(model, ours.picture_map, names, mask=box, picture=photo(), target=2)
    found = many(model, beyond, names, mask=box, picture=photo(), target=2)
    assert [judgement.value for judgement in found[1:]] == [judgement.value for judgement in same[1:]]
    assert all("left out" in judgement.warnings[0] for judgement in found)
    assert all("left out" not in " ".join(judgement.warnings) for judgement in same)


def test_several_maps_have_a_picture_and_a_target_each_or_one_for_all() -> None:
    model, maps = Net(), [np.arange(320.0).reshape(SIZE), -np.arange(320.0).reshape(SIZE)]
    pictures, targets = [tensor(0), tensor(1)], [2, (0, 3)]
    found = many(model, maps, "deletion(steps=3)", picture=pictures, target=targets)
    assert [judgement.value for judgement in found] == [
        one(model, a_map, "deletion(steps=3)", picture=picture, target=target).value
        for a_map, picture, target in zip(maps, pictures, targets, strict=True)
    ]
    assert "class 0 vs class 3" in found[1].subject
    with pytest.raises(UsageError, match="3 targets for 2 maps"):
        evaluate(model, maps, "deletion", picture=tensor(), target=[1, 2, 3])


def test_a_map_that_could_be_either_is_taken_as_the_inputs_and_told() -> None:
    model = wrap(Net(), preparation=Preparation(resize=20, crop=(16, 16)))
    found = one(model, np.arange(256.0).reshape(16, 16), "deletion(steps=3)", picture=photo((16, 16)), target=1)
    assert "taken as the input's" in found.warnings[0]


@pytest.mark.parametrize(
    ("a_map", "more", "error", "says"),
    [
        (np.zeros(SIZE), {"target": 1}, UsageError, "needs picture="),
        (np.zeros(SIZE), {"picture": tensor()}, UsageError, "needs target="),
        (np.zeros((5, 5)), {"picture": tensor(), "target": 1}, UsageError, "5 × 5 came"),
        (np.zeros((3, *SIZE)), {"picture": tensor(), "target": 1}, UsageError, "sum over the channels"),
        (np.full(SIZE, np.nan), {"picture": tensor(), "target": 1}, NonFiniteError, "NaN"),
        (np.zeros(SIZE, complex), {"picture": tensor(), "target": 1}, UsageError, "real numbers"),
        (np.zeros(SIZE), {"picture": tensor(), "target": "top3"}, TargetError, "means 3"),
        (np.zeros(SIZE), {"picture": tensor(), "target": 9}, TargetError, "out of range"),
        (np.zeros(SIZE), {"picture": torch.rand(2, 3, *SIZE), "target": 1}, UsageError, "2 pictures came for one"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    a_map: Any, more: dict[str, Any], error: type[SightlineError], says: str
) -> None:
    with pytest.raises(error, match=says):
        evaluate(Net(), a_map, "deletion(steps=3)", **more)


# ---- the table and the base ------------------------------------------------------------------------------------------


def test_metrics_have_a_text_form_and_say_how_to_read_them() -> None:
    families = [cls.traits.family for cls in METRICS.values()]
    story = ["faithfulness", "localisation", "robustness", "sanity", "complexity"]
    assert list(dict.fromkeys(families)) == story
    assert families == sorted(families, key=story.index)
    assert str(METRICS.make("insertion(steps=28, base=blur(sigma=5))")) == "insertion(steps=28, base=blur(sigma=5))"
    assert METRICS["energy-in-mask"] is METRICS["relevance-mass"]
    for cls in METRICS.values():
        assert cls.traits.better in ("higher", "lower")
        assert cls.traits.cost
        assert cls.traits.paper
        assert cls.__doc__


def test_a_question_that_does_not_fit_together_is_refused() -> None:
    model = Net()
    a_map = explained(model, tensor())
    metric: Metric = METRICS.make("deletion(steps=2)")

    def ask(**changes: Any) -> None:
        fields: dict[str, Any] = {
            "pixels": a_map.pixels,
            "map": a_map.map,
            "picture_map": a_map.picture_map,
            "target": Target.of(1),
            "frame": a_map.frame,
        }
        metric(Passes(model), Question(**(fields | changes)))

    ask()
    with pytest.raises(UsageError, match="one picture at a time"):
        ask(target=Target.of([1, 2]))
    with pytest.raises(UsageError, match="20 × 16 came"):
        ask(map=a_map.map.T)
    with pytest.raises(NonFiniteError):
        ask(map=a_map.map * np.inf)
