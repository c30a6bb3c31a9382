"""The built-in world as ground truth: removable parts, their effects, and every score, against slow plain ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from sightline.demo.network import load as load_network
from sightline.demo.scenes import KINDS, SceneSpec, render, render_image
from sightline.demo.scoring import logits
from sightline.demo.worlds import small
from sightline.errors import SpecError, UsageError
from sightline.evaluation.worlds import scores
from sightline.evaluation.worlds.nulls import NULLS, CentreMap, RandomMap
from sightline.evaluation.worlds.scenes import SORTS, scenes
from sightline.evaluation.worlds.truth import Drawings, SceneTruth, Versions, others, truth_of
from sightline.models.catalogue import load
from sightline.models.targets import Target
from sightline.passes.passes import Passes

DOG = SceneSpec(("dog",), "grass", "bell", seed=100)
PAIR = SceneSpec(("rabbit", "cat"), "indoor", "ball", seed=7)


@pytest.fixture(scope="module")
def truth() -> SceneTruth:
    return truth_of(Passes(load("demo")), DOG)


def test_a_scene_without_its_accessory_or_its_figure_is_the_scene_that_never_had_it() -> None:
    bare = replace(DOG, accessory="none")
    assert np.array_equal(render_image(replace(DOG, without=("accessory",))), render_image(bare))
    assert np.array_equal(render_image(replace(bare, without=("dog",))), render_image(replace(bare, kinds=())))


def test_a_part_that_is_left_out_changes_the_picture_where_it_was_and_nowhere_else() -> None:
    scene = render(DOG)
    without = render(replace(DOG, without=("dog/ear",)))
    changed = (scene.image != without.image).any(2)
    ear = scene.masks["part:ear"]
    assert changed[ear].mean() > 0.9
    assert (
        changed & ~scores.widened(ear, 2)
    ).sum() < 0.01 * ear.sum()  # a sliver beneath the collar is no pixel's most
    assert not without.masks.get("part:ear", np.zeros_like(ear)).any()


@pytest.mark.parametrize("name", ["cat", "dog/wheel", "bell"])
def test_what_is_not_in_the_scene_cannot_be_left_out(name: str) -> None:
    with pytest.raises(SpecError, match="leave out"):
        render_image(replace(DOG, without=(name,)))


def test_effects_are_the_scores_lost_by_drawing_again(truth: SceneTruth) -> None:
    """The slow way: every version drawn, made small and asked for by itself."""
    network, *_ = load_network("honest")

    def score(spec: SceneSpec) -> float:
        return float(logits(network, small(render_image(spec), 128)[None])[0, 0])

    whole = score(DOG)
    assert truth.score == pytest.approx(whole, abs=0.05)  # another library makes the picture small
    for part in (*truth.parts, *truth.things):
        if part.name == "background":
            versions = [replace(DOG, background=place) for place in ("sand", "indoor")]
        else:
            versions = [replace(DOG, without=(part.name,))]
        assert part.effect == pytest.approx(whole - np.mean([score(spec) for spec in versions]), abs=0.1), part.name


def test_the_honest_network_goes_by_the_dog_and_the_cheat_by_its_bell(truth: SceneTruth) -> None:
    cheat = truth_of(Passes(load("demo/cheat")), DOG)
    assert (truth.top, cheat.top) == ("dog", "accessory")
    assert np.array_equal(truth.evidence, render(DOG).masks["object"])
    assert np.array_equal(cheat.evidence, render(DOG).masks["accessory"])


def test_parts_and_things_divide_the_picture(truth: SceneTruth) -> None:
    pair = truth_of(Passes(load("demo")), PAIR, KINDS.index("cat"))
    for masks in ([thing.mask for thing in truth.things], [thing.mask for thing in pair.things]):
        assert (np.sum(masks, axis=0) == 1).all()
    assert np.sum([part.mask for part in truth.parts], axis=0).max() == 1
    assert {part.name for part in pair.parts} == {"rabbit", "cat", "accessory", "background"}


def test_only_whole_scenes_with_a_figure_have_a_truth() -> None:
    for spec in (replace(DOG, without=("dog",)), replace(DOG, kinds=())):
        with pytest.raises(UsageError, match="whole scene"):
            truth_of(Passes(load("demo")), spec)


def test_snow_is_never_what_a_background_is_exchanged_for() -> None:
    assert others(DOG) == ("sand", "indoor")
    assert others(replace(DOG, background="snow")) == ("grass", "sand", "indoor")


def test_scenes_come_in_the_same_order_and_show_what_their_sort_says() -> None:
    for sort in SORTS:
        some = [spec for spec, _ in zip(scenes(sort, 3), range(6), strict=False)]
        assert some == [spec for spec, _ in zip(scenes(sort, 3), range(6), strict=False)]
        assert some != [spec for spec, _ in zip(scenes(sort, 4), range(6), strict=False)]
        assert all((spec.accessory == "bell") == (sort == "bell") for spec in some)
        assert all((spec.background == "snow") == (sort == "snow") for spec in some)
        assert all(len(spec.kinds) == 1 + (sort == "pair") for spec in some)


def by_effect(truth: SceneTruth) -> np.ndarray:
    """A map whose sum over each part is the part's true effect, on its middle only: none of it leaks over the edge."""
    map = np.zeros(truth.frame.picture, dtype=np.float32)
    for part in truth.parts:
        alone = part.mask.copy()
        for other in truth.parts:
            if other is not part and other.name != "background":
                alone &= ~scores.widened(other.mask)
        assert alone.any(), part.name
        map[alone] = part.effect / alone.sum()
    return map


def test_single_deletion_is_one_for_the_true_effects_and_zero_for_their_opposite(truth: SceneTruth) -> None:
    kept = replace(truth, parts=tuple(part for part in truth.parts if part.name not in ("dog/snout", "dog/eye")))
    map = by_effect(kept)
    assert scores.single_deletion(map, kept) == pytest.approx(1)
    assert scores.single_deletion(-map, kept) == pytest.approx(0)
    assert scores.single_deletion(np.ones_like(map) * 0, kept) == 0.5
    idle = replace(truth, parts=tuple(replace(part, effect=0.0) for part in truth.parts))
    assert scores.single_deletion(map, idle) is None


def test_single_deletion_is_spearmans_correlation(truth: SceneTruth) -> None:
    map = np.random.default_rng(0).normal(size=truth.frame.picture).astype(np.float32)
    parts = [part for part in truth.parts if part.name != "background"]
    pooled = torch.nn.MaxPool2d(5, stride=1, padding=2)  # how FunnyBirds widens a part
    sums = [
        float((pooled(torch.from_numpy(part.mask[None, None]).float())[0, 0] * torch.from_numpy(map)).sum())
        for part in parts
    ]
    expected = spearmanr(sums, [part.effect for part in parts]).statistic / 2 + 0.5
    assert scores.single_deletion(map, truth) == pytest.approx(expected)


def test_what_is_called_important_holds_more_than_its_share_of_the_positive_parts() -> None:
    given = {"a": 6.0, "b": 3.0, "c": 1.0, "d": -4.0}
    assert scores.called_important(given, 0.5) == {"a"}
    assert scores.called_important(given, 0.2) == {"a", "b"}
    assert scores.called_important(given, 0.01) == {"a", "b", "c"}
    assert scores.called_important({"a": 0.0, "b": -1.0}, 0.01) == frozenset()


def test_preservation_and_deletion_ask_the_network_without_the_parts() -> None:
    passes = Passes(load("demo"))
    versions = Versions(passes, Drawings(DOG))
    only_dog = {part.name: float(part.name.startswith("dog")) for part in truth_of(passes, DOG).parts}
    only_rest = {name: 1 - value for name, value in only_dog.items()}
    assert scores.preserved(only_dog, 0.01, versions, 0) == scores.deleted(only_dog, 0.01, versions, 0) == 1
    assert scores.preserved(only_rest, 0.01, versions, 0) == scores.deleted(only_rest, 0.01, versions, 0) == 0


def test_distractibility_counts_the_parts_without_effect_that_are_called_important(truth: SceneTruth) -> None:
    idle = [part.name for part in truth.parts if part.effect < 0.05 * truth.score]
    assert "accessory" in idle
    everything = {part.name: 1.0 for part in truth.parts}
    assert scores.undistracted(everything, 0.01, truth) == 0
    one = everything | dict.fromkeys(idle[1:], 0.0)
    assert scores.undistracted(one, 0.01, truth) == pytest.approx(1 - 1 / len(idle))
    busy = replace(truth, parts=tuple(replace(part, effect=9.0) for part in truth.parts))
    assert scores.undistracted(everything, 0.01, busy) is None


def test_mass_and_rank_on_the_evidence(truth: SceneTruth) -> None:
    on = truth.evidence.astype(np.float32)
    assert scores.mass_on(on, truth.evidence) == scores.rank_on(on, truth.evidence) == 1
    assert scores.mass_on(-on, truth.evidence) == scores.rank_on(-on, truth.evidence) == 0
    assert scores.rank_on(on * 0 + 1, truth.evidence) == pytest.approx(truth.evidence.mean())


def test_the_top_thing_is_where_the_maximum_lies(truth: SceneTruth) -> None:
    def peak(row: int, column: int) -> str | None:
        map = np.zeros(truth.frame.picture, dtype=np.float32)
        map[row, column] = 1
        return scores.top_thing(map, truth)

    bell, dog = (np.argwhere(render(DOG).masks[name]) for name in ("accessory", "part:leg"))
    assert peak(*bell[0]) == "accessory"
    assert peak(bell[0][0] - 6, bell[0][1]) == "accessory"  # within the tolerance
    assert peak(*dog[-1]) == "dog"
    assert peak(0, 0) == "background"
    block = np.zeros(truth.frame.picture, dtype=np.float32)
    top, left = bell.min(0)
    block[top : top + 24, left : left + 24] = 1  # mostly bell, as a block of occlusion
    assert scores.top_thing(block, truth) == "accessory"
    assert scores.top_thing(np.ones(truth.frame.picture, dtype=np.float32), truth) is None


def test_target_sensitivity_asks_each_figure_for_its_own_map() -> None:
    pair = truth_of(Passes(load("demo")), PAIR)
    rabbit, cat = (render(PAIR).masks[f"object:{kind}"].astype(np.float32) for kind in PAIR.kinds)
    assert scores.target_sensitivity(rabbit, cat, pair) == 1
    assert scores.target_sensitivity(9 * rabbit, cat, pair) == 1  # another scale is the same map
    assert scores.target_sensitivity(cat, rabbit, pair) == 0
    assert scores.target_sensitivity(rabbit, rabbit, pair) == 0
    assert scores.target_sensitivity(rabbit, rabbit + np.float32(1e-7), pair) == 0
    assert scores.target_sensitivity(rabbit, rabbit + cat, pair) == 1


def test_contestants_that_know_nothing_do_not_look_at_the_network_or_at_batch_mates() -> None:
    pixels = torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(1))
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 40, 4)).eval()
    for null in NULLS:
        together = null(other, pixels, Target.of([0, 1, 2])).values
        alone = null(lambda given: given.mean((2, 3)), pixels[1:2], Target.of([1])).values
        assert torch.equal(together[1:2], alone)
    random = RandomMap()(other, pixels, Target.of([0, 0, 0])).values
    assert not torch.equal(random[0], random[1])
    assert not torch.equal(random, RandomMap(seed=1)(other, pixels, Target.of([0, 0, 0])).values)
    centre = CentreMap()(other, pixels, Target.of([0, 0, 0])).values[0, 0]
    assert int(centre.argmax()) // 40 in (15, 16)
    assert torch.allclose(centre, centre.flip(0, 1))
