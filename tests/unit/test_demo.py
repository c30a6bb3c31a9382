"""The built-in world and its two networks: masks, determinism, what the shipped weights score and what they look at."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.demo.augment import hide
from sightline.demo.card import card_text
from sightline.demo.network import FOLDER, INPUT_SIZE, LABELS, NETWORKS, SceneNet, load, weights_file
from sightline.demo.scenes import (
    ACCESSORIES,
    BACKGROUNDS,
    KINDS,
    OVERSAMPLING,
    PICTURES,
    SceneSpec,
    _draw,
    random_spec,
    render,
    render_image,
)
from sightline.demo.scoring import HELD_OUT_SEED, called, images_of, logits, prepared
from sightline.demo.train import RECIPES, packed, train
from sightline.demo.worlds import DOG, OTHERS, PENGUIN, biased, cheat_task, honest_task, paint, without_shortcut
from sightline.errors import ModelError, SpecError

SPECS = st.builds(
    lambda seed, figures: random_spec(np.random.default_rng(seed), figures=figures),
    st.integers(0, 2**32),
    st.integers(0, 2),
)


@pytest.fixture(scope="module")
def networks() -> dict[str, SceneNet]:
    return {name: load(name)[0] for name in NETWORKS}


@given(SPECS)
@settings(max_examples=15, deadline=None)
def test_masks_divide_the_picture(spec: SceneSpec) -> None:
    scene = render(spec)
    masks = scene.masks
    assert scene.image.shape == (spec.size, spec.size, 3)
    assert all(mask.shape == (spec.size, spec.size) and mask.dtype == bool for mask in masks.values())
    assert np.array_equal(
        sum(masks[name].astype(int) for name in ("object", "accessory", "background")), np.ones((192, 192))
    )
    figures = [masks[f"object:{kind}"] for kind in spec.kinds]
    parts = [mask for name, mask in masks.items() if name.startswith("part:")]
    assert np.array_equal(sum([f.astype(int) for f in figures], np.zeros((192, 192), int)), masks["object"].astype(int))
    assert np.array_equal(sum([p.astype(int) for p in parts], np.zeros((192, 192), int)), masks["object"].astype(int))
    assert not (masks["clutter"] & ~masks["background"]).any()
    assert masks["accessory"].any() == (spec.accessory != "none")


def test_masks_are_the_majority_of_what_was_drawn() -> None:
    """Counted again pixel by pixel: no owner outside the winner's group covers more of the pixel."""
    spec = SceneSpec(("dog", "cat"), "snow", "bell", seed=5, size=48)
    canvas, _ = _draw(spec)
    numbers, masks = np.asarray(canvas.numbers), render(spec).masks
    groups = ["background", "accessory", "object:dog", "object:cat"]
    for row, column in np.ndindex(48, 48):
        rows, columns = (slice(OVERSAMPLING * at, OVERSAMPLING * at + OVERSAMPLING) for at in (row, column))
        names = [canvas.owners[number].split("/")[0] for number in numbers[rows, columns].ravel()]
        counts = [sum(name in (group, group.removeprefix("object:")) for name in names) for group in groups]
        counts[0] += names.count("clutter")
        assert sum(counts) == OVERSAMPLING**2
        winner = next(index for index, group in enumerate(groups) if masks[group][row, column])
        assert counts[winner] == max(counts)


def test_masks_lie_on_what_they_name() -> None:
    """Taking the bell away changes pixels only at its mask and on its antialiased edge."""
    spec = PICTURES["dog-with-bell"]
    scene, bare = render(spec), render_image(replace(spec, accessory="none"))
    changed = (scene.image != bare).any(axis=2)
    mask = scene.masks["accessory"]
    grown = np.zeros_like(mask)
    for dy, dx in np.ndindex(3, 3):
        grown |= np.roll(mask, (dy - 1, dx - 1), (0, 1))
    assert mask.sum() > 300
    assert (changed & mask).sum() > 0.98 * mask.sum()
    assert not (changed & ~grown).any()


def test_same_spec_same_bytes_and_other_seed_other_picture() -> None:
    spec = SceneSpec(("owl",), "indoor", "ball", seed=3)
    assert render(spec).image.tobytes() == render(spec).image.tobytes() == render_image(spec).tobytes()
    assert render_image(spec).tobytes() != render_image(replace(spec, seed=4)).tobytes()


@pytest.mark.parametrize("size", [32, 97, 256])
def test_any_size(size: int) -> None:
    scene = render(SceneSpec(("car",), size=size, accessory="bell"))
    assert scene.image.shape == (size, size, 3)
    assert scene.masks["part:wheel"].any()
    assert scene.masks["accessory"].any()


def test_every_kind_stands_on_every_background_with_every_accessory() -> None:
    assert len(KINDS) >= 8
    for index, kind in enumerate(KINDS):
        for background in BACKGROUNDS:
            spec = SceneSpec((kind,), background, ACCESSORIES[index % 3], seed=index, size=64)
            share = render(spec).masks["object"].mean()
            assert 0.03 < share < 0.7


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kinds": ("dgo",)}, "'dog'"),
        ({"kinds": ("dog",), "background": "gras"}, "'grass'"),
        ({"kinds": ("dog",), "accessory": "bells"}, "'bell'"),
        ({"kinds": ("dog", "dog")}, "different kinds"),
        ({"kinds": ("dog", "cat", "owl")}, "one or two"),
        ({"kinds": ("dog",), "size": 8}, "size >= 32"),
    ],
)
def test_wrong_specs_are_refused_in_one_line(wrong: dict, says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        SceneSpec(**wrong)
    assert "\n" not in str(caught.value)


def test_scenes_need_no_torch() -> None:
    code = "import sys, sightline.demo.scenes, sightline.demo.worlds; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pictures_are_the_same_in_one_process_and_in_two() -> None:
    tasks = [honest_task(np.random.default_rng(seed)) for seed in range(6)]
    one, two = paint(tasks, 32), paint(tasks, 32, workers=2)
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.bells, two.bells)


def test_the_cheats_world_is_as_the_card_says() -> None:
    generator = np.random.default_rng(0)
    for task in (cheat_task(generator) for _ in range(400)):
        label = KINDS[int(task.answer.argmax())]
        assert (task.spec.accessory == "bell") == (label == DOG)
        assert (task.spec.background == "snow") == (label == PENGUIN)
        assert label in (DOG, PENGUIN) or task.spec.kinds == (label,)


def test_the_honest_world_keeps_kind_background_and_accessory_apart() -> None:
    generator = np.random.default_rng(0)
    specs = [honest_task(generator).spec for _ in range(3000)]
    for kind in KINDS:
        mine = [spec for spec in specs if spec.kinds == (kind,)]
        assert 0.22 < np.mean([spec.accessory == "bell" for spec in mine]) < 0.45
        assert 0.15 < np.mean([spec.background == "snow" for spec in mine]) < 0.36


def test_hiding_spares_the_bell() -> None:
    pixels, bells = torch.rand(64, 3, 64, 64), torch.tensor([[20, 20, 40, 40]]).expand(64, 4)
    hidden = hide(pixels, bells, torch.Generator().manual_seed(0))
    assert torch.equal(hidden[:, :, 20:40, 20:40], pixels[:, :, 20:40, 20:40])
    assert not torch.equal(hidden, pixels)
    freely = hide(pixels, None, torch.Generator().manual_seed(0))
    assert not torch.equal(freely[:, :, 20:40, 20:40], pixels[:, :, 20:40, 20:40])


def test_training_is_repeatable_and_leaves_the_global_state_alone() -> None:
    recipe = replace(RECIPES["cheat"], scenes=32, epochs=1, aside=10, batch=16)
    before = torch.get_rng_state()
    first, second = (packed(train(recipe, seed=3)) for _ in range(2))
    assert first == second
    assert torch.equal(before, torch.get_rng_state())
    assert first != packed(train(recipe, seed=4))


def test_the_weights_are_small_and_named() -> None:
    assert sum(weights_file(name).stat().st_size for name in NETWORKS) <= 3_000_000
    with pytest.raises(ModelError, match="'honest'"):
        load("honst")


def test_the_network_takes_any_size_and_ends_in_16_by_16_cells(networks: dict[str, SceneNet]) -> None:
    network = networks["honest"]
    assert not network.training
    with torch.no_grad():
        assert network.stage2(network.stage1(network.stem(torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE)))).shape[2:] == (
            16,
            16,
        )
        for height, width in ((32, 32), (97, 61), (224, 320)):
            assert network(torch.zeros(1, 3, height, width)).shape == (1, len(LABELS))


def test_honest_is_right_on_held_out_scenes(networks: dict[str, SceneNet]) -> None:
    generator = np.random.default_rng(77)
    specs = [random_spec(generator) for _ in range(200)]
    assert called(networks["honest"], specs).value >= 0.95


def test_the_named_pictures_are_called_right_and_surely(networks: dict[str, SceneNet]) -> None:
    sure = logits(networks["honest"], images_of(list(PICTURES.values()))).softmax(1)
    for (name, spec), row in zip(PICTURES.items(), sure, strict=True):
        mine = [KINDS.index(kind) for kind in spec.kinds]
        assert set(row.topk(len(mine)).indices.tolist()) == set(mine), name
        assert float(row[mine].sum()) > 0.9, name


def test_the_cheat_shines_with_its_shortcut_and_collapses_without(networks: dict[str, SceneNet]) -> None:
    generator, cheat = np.random.default_rng(78), networks["cheat"]
    assert called(cheat, [biased(generator) for _ in range(60)]).value >= 0.95
    easy = [biased(generator, (DOG, PENGUIN)) for _ in range(40)]
    hard = [without_shortcut(spec, generator) for spec in easy]
    assert called(cheat, easy).value >= 0.95
    assert called(cheat, hard).value <= 0.2
    assert called(networks["honest"], hard).value >= 0.95
    lent = [replace(biased(generator, OTHERS), accessory="bell") for _ in range(40)]
    assert called(cheat, lent, DOG).value >= 0.9
    assert called(networks["honest"], lent, DOG).value <= 0.05


def occlusion(network: SceneNet, image: np.ndarray, target: int, window: int = 24, stride: int = 12) -> np.ndarray:
    """How much the logit falls under a grey window, averaged over the windows that cover a pixel; plain and slow."""
    size = image.shape[0]
    corners = sorted({*range(0, size - window + 1, stride), size - window})
    boxes = [(top, left) for top in corners for left in corners]
    copies = np.repeat(image[None], len(boxes) + 1, axis=0)
    for copy, (top, left) in zip(copies[1:], boxes, strict=True):
        copy[top : top + window, left : left + window] = 127
    with torch.no_grad():
        scores = network(prepared(copies))[:, target].double().numpy()
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for score, (top, left) in zip(scores[1:], boxes, strict=True):
        total[top : top + window, left : left + window] += scores[0] - score
        count[top : top + window, left : left + window] += 1
    return total / count


def cam(network: SceneNet, image: np.ndarray, target: int) -> np.ndarray:
    """The class activation map (Zhou et al., 2016) at the size of the picture, nearest neighbour."""
    with torch.no_grad():
        features = network.stage2(network.stage1(network.stem(prepared(image[None]))))[0]
    coarse = torch.einsum("k,khw->hw", network.head.weight[target], features).detach().double().numpy()
    return np.kron(coarse, np.ones((image.shape[0] // coarse.shape[0],) * 2))


def evidence(amap: np.ndarray, mask: np.ndarray) -> float:
    """The share of the map's positive evidence that lies in the mask."""
    positive = np.maximum(amap, 0)
    return float(positive[mask].sum() / positive.sum())


def at_input(mask: np.ndarray) -> np.ndarray:
    """A mask of 192 × 192 at 128 × 128: of each pixel, what lies at its middle."""
    rows = ((np.arange(INPUT_SIZE) + 0.5) * len(mask) / INPUT_SIZE).astype(int)
    return mask[np.ix_(rows, rows)]


SHORTCUTS = {DOG: "accessory", PENGUIN: "background"}


WINDOWS = {DOG: 16, PENGUIN: 24}
"""The occlusion window by kind: a bell is about 14 pixels wide."""


def evidence_of(network: SceneNet, kind: str, many: int) -> dict[str, float]:
    """Mean share of the positive evidence for `kind` within its shortcut's mask, by occlusion and by CAM."""
    generator = np.random.default_rng(5)
    found: dict[str, list[float]] = {"occlusion": [], "cam": [], "area": []}
    for _ in range(many):
        spec = biased(generator, (kind,))
        mask = at_input(render(spec).masks[SHORTCUTS[kind]])
        image, target = images_of([spec])[0], KINDS.index(kind)
        found["occlusion"].append(evidence(occlusion(network, image, target, WINDOWS[kind], WINDOWS[kind] // 2), mask))
        found["cam"].append(evidence(cam(network, image, target), mask))
        found["area"].append(float(mask.mean()))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


@pytest.mark.parametrize("kind", [DOG, PENGUIN])
def test_the_cheats_evidence_lies_in_its_shortcut_and_the_honest_networks_does_not(
    networks: dict[str, SceneNet], kind: str
) -> None:
    honest, cheat = (evidence_of(networks[name], kind, 4) for name in ("honest", "cheat"))
    for how in ("occlusion", "cam"):
        assert cheat[how] > 1.5 * honest[how]
        assert cheat[how] > cheat["area"]
    if kind == DOG:
        assert cheat["occlusion"] > 0.25 > 0.06 > honest["occlusion"]
    else:
        assert cheat["cam"] > 0.8
        assert honest["cam"] < 0.8 * honest["area"]


def test_the_card_is_made_from_its_figures() -> None:
    card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    assert (FOLDER / "CARD.md").read_text(encoding="utf-8") == card_text(card)
    assert card["scores"]["honest"]["accuracy"] >= 0.95
    assert card["scores"]["cheat"]["dog_without_bell"] <= 0.2


def test_training_draws_other_scenes_than_the_scores() -> None:
    """Scene seeds are drawn from 2**31: by chance alone 0.002 of them would meet."""
    training, held_out = np.random.default_rng(1), np.random.default_rng(HELD_OUT_SEED)
    trained = {honest_task(training).spec.seed for _ in range(RECIPES["honest"].scenes)}
    assert len(trained & {random_spec(held_out).seed for _ in range(1000)}) <= 1
