"""What `explain` says beside the map: warnings that are true, labels that fit, targets of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import sightline
from sightline.errors import ModelError, PictureError, TargetError, UsageError


def network(classes: int = 4) -> nn.Module:
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    try:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
        )
    finally:
        torch.random.set_rng_state(torch_state)


def pixels(*size: int) -> torch.Tensor:
    return torch.rand(size or (3, 20, 24), generator=torch.Generator().manual_seed(1))


def one(method: object = "gradient", **more: object) -> sightline.Attribution:
    result = sightline.explain(network(), pixels(), method, **more)  # type: ignore[arg-type]
    assert isinstance(result, sightline.Attribution)
    return result


def test_one_picture_and_one_method_give_one_result_and_lists_give_lists() -> None:
    assert one().map.shape == (20, 24)
    assert isinstance(sightline.explain(network(), pixels(), ["gradient"]), list)
    assert isinstance(sightline.explain(network(), [pixels()], "gradient"), list)
    several = sightline.explain(network(), pixels(2, 3, 20, 24), ["gradient", "grad-cam"], target="top2")
    assert isinstance(several, list)
    assert [(a.picture.name, a.method.name) for a in several] == [
        (f"tensor {place}", method) for place in (0, 1) for _ in range(2) for method in ("gradient", "grad-cam")
    ]


@pytest.mark.parametrize("target", [[1, 2], torch.tensor([1, 2]), np.array([1, 2])], ids=["list", "tensor", "array"])
def test_each_picture_may_have_its_own_target(target: object) -> None:
    both = sightline.explain(network(), pixels(2, 3, 20, 24), "gradient", target=target)
    assert isinstance(both, list)
    assert [a.target.index for a in both] == [1, 2]


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(TargetError, match="3 targets for 2 pictures"):
        sightline.explain(network(), pixels(2, 3, 20, 24), "gradient", target=[1, 2, 3])
    with pytest.raises(UsageError, match="no picture"):
        sightline.explain(network(), [], "gradient")
    with pytest.raises(UsageError, match="looks at no layer"):
        one("gradient", layer="0")
    with pytest.raises(UsageError, match="unknown precision 'half'"):
        one(precision="half")
    with pytest.raises(ModelError, match="no device 'nowhere'"):
        one(device="nowhere")
    with pytest.raises(UsageError, match="looks like h w c"):
        sightline.explain(network(), np.zeros((20, 24, 3)), "gradient")


def test_labels_must_fit_the_scores() -> None:
    with pytest.raises(ModelError, match="gives 4 scores, but 2 class names"):
        sightline.explain(sightline.wrap(network(), labels=["cat", "dog"]), pixels(), "gradient")


@pytest.mark.parametrize("head", ["probabilities", "independent-probabilities"])
def test_logits_that_were_declared_probabilities_are_refused(head: str) -> None:
    logits = sightline.wrap(network(), head=head)  # type: ignore[arg-type]
    with torch.no_grad():
        network_scores = network()(pixels()[None])
    assert float(network_scores.min()) < -0.01
    for call in (lambda: sightline.explain(logits, pixels(), "gradient"),
                 lambda: sightline.compare(logits, [pixels()], ["gradient"], ["deletion(steps=4)"])):  # fmt: skip
        with pytest.raises(ModelError, match="are probabilities, and they run from"):
            call()
    likely = sightline.wrap(nn.Sequential(network(), nn.Softmax(1)), head="probabilities")
    assert sightline.explain(likely, pixels(), "gradient").predictions[0].probability <= 1  # type: ignore[union-attr]


def test_a_network_with_one_output_may_name_what_it_looks_for() -> None:
    result = sightline.explain(sightline.wrap(network(1), labels=["dog"]), pixels(), "gradient", target="not dog")
    assert isinstance(result, sightline.Attribution)
    assert {prediction.label for prediction in result.predictions} == {"dog", "not dog"}
    assert result.target.index == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: one("integrated-gradients(steps=1, rule=midpoint)"), "does not add up"),
        (lambda: one("meaningful-perturbation(iterations=2)", precision="fast"), "precision=fast"),
        (lambda: sightline.explain(network(), pixels() * 9, "gradient"), "no preparation was declared"),
        (lambda: sightline.explain(lambda x: x.mean((2, 3)), pixels(), "occlusion"), "read as logits"),
        (
            lambda: sightline.explain(network(), np.zeros((20, 24, 3), np.uint8), "gradient"),
            "no preparation was declared",
        ),
    ],
    ids=["incomplete", "fast", "range", "head", "preparation"],
)
def test_doubts_are_said(make: Callable[[], sightline.Attribution], words: str) -> None:
    assert any(words in warning for warning in make().warnings)


def test_a_plain_map_has_no_warning() -> None:
    assert one().warnings == ()


def test_a_network_is_quiet_no_longer_than_the_error(tmp_path: object) -> None:
    careless = network().train()
    with pytest.raises(PictureError, match="no such file") as error:
        sightline.explain(careless, [pixels(), "no such file.png"], "gradient")
    # The error, and with it its traceback, is still alive here.
    assert error.value is not None
    assert all(module.training for module in careless.modules())
    assert all(parameter.requires_grad for parameter in careless.parameters())


EVERYTHING = {"map.npy", "overlay.png", "attribution.json"}


@pytest.mark.parametrize("name", ["map.png", "new/map.JPG", "map.webp"])
def test_a_drawing_is_saved_by_the_name_it_is_given(tmp_path: Path, name: str) -> None:
    found = one()
    place = found.save(tmp_path / name)
    assert place == tmp_path / name
    with Image.open(place) as image:
        assert image.size == found.to_pil().size


@pytest.mark.parametrize("name", ["map.npy", "map.NPY"])
def test_a_raw_map_is_saved_by_the_name_it_is_given(tmp_path: Path, name: str) -> None:
    found = one()
    assert np.array_equal(np.load(found.save(tmp_path / name)), found.map)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["folder", "new/folder", "there.1"])
def test_a_result_is_saved_whole_into_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.1").mkdir()
    assert {file.name for file in one().save(tmp_path / name).iterdir()} == EVERYTHING


@pytest.mark.parametrize("name", ["map.pdf", "map.tiff", "map.npz", "map.json"])
def test_a_result_is_not_saved_under_a_name_that_promises_another_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"saved as a drawing \(\.png.*figure\(result\)\.savefig"):
        one().save(tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["taken", "taken/map.png", "taken/map.npy"])
def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UsageError, match="cannot be written"):
        one().save(tmp_path / name)


def test_a_drawing_tells_what_its_numbers_are_in() -> None:
    assert one("grad-cam").units == "in the method's own units"
    assert one("integrated-gradients").units == "score per pixel"
    assert one("partition-shap(evaluations=9, score=probability)").units == "probability per pixel"


def test_methods_can_be_called_on_a_module_with_a_class_index() -> None:
    maps = sightline.GradCam()(network(), pixels(2, 3, 20, 24), 1)
    assert maps.values.shape == (2, 1, 20, 24)
    with pytest.raises(TargetError, match="out of range"):
        sightline.GradCam()(network(), pixels(2, 3, 20, 24), 9)


@pytest.mark.parametrize("around", [torch.nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_compiled_and_parallel_networks_are_explained_as_what_they_hold(
    around: Callable[[nn.Module], nn.Module],
) -> None:
    plain = network()
    wrapped = around(plain)
    wrapped(pixels()[None])  # a compiled network ignores hooks that come after its first pass
    one, other = (sightline.explain(net, pixels(), "grad-cam") for net in (plain, wrapped))
    assert isinstance(one, sightline.Attribution)
    assert isinstance(other, sightline.Attribution)
    assert other.layer == one.layer
    assert np.array_equal(other.map, one.map)


def test_a_class_that_named_classes_do_not_hold_is_refused_before_any_pass() -> None:
    asked: list[int] = []
    watched = network()
    watched.register_forward_hook(lambda module, given, output: asked.append(len(given[0])))
    model = sightline.wrap(watched, labels=["cat", "dog", "car", "owl"])
    for wrong in ("dgo", 4, -1, "cat-vs-lion", [0, 9]):
        with pytest.raises(TargetError):
            sightline.explain(model, pixels(2, 3, 20, 24), "gradient", target=wrong)
    assert asked == []
    sightline.explain(model, pixels(), "gradient", target="dog")
    assert asked == [1]


def test_built_in_pictures_are_known_by_name_in_python_too() -> None:
    found = sightline.explain("demo", ["demo:dog", "demo:cat"], "gradient")
    assert isinstance(found, list)
    assert [one.picture.name for one in found if one.picture is not None] == ["demo:dog", "demo:cat"]
    assert [one.target.label for one in found] == ["dog", "cat"]
    with pytest.raises(UsageError, match="unknown built-in picture 'dgo': did you mean 'dog'"):
        sightline.explain("demo", "demo:dgo", "gradient")
    contest = sightline.compare("demo", ["demo:dog"], ["gradient"], ["deletion(steps=2)"])
    assert "demo:dog" in str(contest.record())
