"""The words for what is explained: names forgiven, near misses told, nothing guessed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import TargetError
from sightline.models.targets import Target, class_index, resolve

LABELS = (
    "tench, Tinca tinca",
    "bull mastiff",
    "tiger cat",
    "crane",
    "boxer",
    "crane",
    "tabby, tabby cat",
    "Egyptian_cat",
)
SCORES = torch.tensor([[0.0, 3.0, 2.0, -1.0, 1.0, 0.5, 0.2, 0.1], [5.0, 3.0, 2.0, -1.0, 9.0, 0.5, 0.2, 0.1]])


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("bull mastiff", 1), ("Bull_Mastiff", 1), ("bull-mastiff", 1), (" BULLMASTIFF ", 1), ("egyptian cat", 7),
        ("tench", 0), ("Tinca tinca", 0), ("tench, Tinca tinca", 0), ("tabby_cat", 6), ("3", 3), (" 5 ", 5), ("+2", 2),
    ],
)  # fmt: skip
def test_a_class_by_name_or_index(text: str, index: int) -> None:
    assert class_index(text, LABELS, 8) == index


@given(st.sampled_from(["bull mastiff", "tiger cat", "boxer", "Egyptian_cat"]), st.data())
@settings(max_examples=50, deadline=None)
def test_case_hyphens_and_underscores_are_forgiven(label: str, data: st.DataObject) -> None:
    forms = {" ": " _-", "_": " _-"}
    letters = [data.draw(st.sampled_from(forms.get(letter, letter.upper() + letter.lower()))) for letter in label]
    assert class_index("".join(letters), LABELS, 8) == LABELS.index(label)


@pytest.mark.parametrize(
    ("text", "hint"), [("bull mastif", "bull mastiff"), ("boxxer", "boxer"), ("egyptian", "Egyptian_cat")]
)
def test_a_near_miss_gets_a_suggestion(text: str, hint: str) -> None:
    with pytest.raises(TargetError, match=f"{text}.*did you mean.*{hint}"):
        class_index(text, LABELS, 8)


def test_a_far_miss_says_how_many_classes_there_are() -> None:
    with pytest.raises(TargetError, match="its 8 classes are tench"):
        class_index("qqqq", LABELS, 8)


@pytest.mark.parametrize("text", ["", "  ", "-", ","])
def test_a_name_without_letters_names_nothing(text: str) -> None:
    with pytest.raises(TargetError):
        class_index(text, ("tabby,", "-a"), 2)


def test_an_ambiguous_name_is_refused_with_both_indices() -> None:
    with pytest.raises(TargetError, match="several classes: give the index, 3 or 5"):
        class_index("Crane", LABELS, 8)


def test_a_name_that_is_letter_by_letter_right_is_not_ambiguous() -> None:
    assert [class_index(name, ("C", "C++", "c#"), 3) for name in ("C", "C++", "c#")] == [0, 1, 2]
    with pytest.raises(TargetError, match="0 or 1 or 2"):
        class_index("c", ("C", "C++", "c#"), 3)


@pytest.mark.parametrize("index", [8, -1, "8", "-1", 10**12])
def test_an_index_out_of_range_is_refused(index: int | str) -> None:
    with pytest.raises(TargetError, match=r"out of range.*0 to 7"):
        class_index(index, LABELS, 8)


@pytest.mark.parametrize("wanted", [True, 1.5, None, [1]])
def test_what_is_no_class_is_refused(wanted: object) -> None:
    with pytest.raises(TargetError, match="a target is"):
        class_index(wanted, LABELS, 8)  # type: ignore[arg-type]


def test_whole_numbers_of_numpy_are_indices() -> None:
    assert class_index(np.int64(2), LABELS, 8) == 2


def test_names_need_labels_that_fit_the_scores() -> None:
    with pytest.raises(TargetError, match="no class names"):
        class_index("boxer", None, 8)
    with pytest.raises(TargetError, match="9 scores and 8 class names"):
        class_index("boxer", LABELS, 9)


def test_top_is_each_pictures_own() -> None:
    (top,) = resolve("top", SCORES, LABELS)
    assert top.index.tolist() == [1, 4]
    assert top.score(SCORES).tolist() == [3.0, 9.0]


@pytest.mark.parametrize("text", ["top3", "top-3", "TOP 3", "top_3"])
def test_top3_is_three_targets_in_order(text: str) -> None:
    assert [target.index.tolist() for target in resolve(text, SCORES, LABELS)] == [[1, 4], [2, 0], [4, 1]]


@pytest.mark.parametrize("text", ["top0", "top9"])
def test_too_many_of_the_strongest_are_refused(text: str) -> None:
    with pytest.raises(TargetError, match="8 classes"):
        resolve(text, SCORES, LABELS)


@pytest.mark.parametrize(
    "wanted", ["boxer-vs-tiger cat", "boxer vs tiger_cat", "Boxer-VS-tiger-cat", "4-vs-2", ("boxer", 2)]
)
def test_a_contrast_is_the_difference_of_two_scores(wanted: str | tuple) -> None:
    (target,) = resolve(wanted, SCORES, LABELS)
    assert target.score(SCORES).tolist() == [-1.0, 7.0]


@pytest.mark.parametrize(
    "wanted", ["boxer-vs-boxer", "boxer-vs-4", ("boxer",), ("boxer", 1, 2), "boxer-vs-", "boxer-vs-qqq"]
)
def test_a_contrast_needs_two_classes(wanted: str | tuple) -> None:
    with pytest.raises(TargetError):
        resolve(wanted, SCORES, LABELS)


def test_a_class_whose_name_looks_like_a_contrast_is_a_class() -> None:
    (target,) = resolve("cat-vs-dog", torch.zeros(1, 2), ("cat vs dog", "other"))
    assert target.index.tolist() == [0]
    assert target.against is None


def test_probabilities_of_a_class_and_of_a_contrast() -> None:
    one, contrast = Target.of(1, 2), Target.of(1, 2, against=2)
    both = SCORES.softmax(1)
    assert torch.allclose(one.probability(SCORES, "softmax"), both[:, 1])
    assert torch.allclose(contrast.probability(SCORES, "softmax"), both[:, 1] / (both[:, 1] + both[:, 2]))
    each = SCORES.sigmoid()
    assert torch.allclose(contrast.probability(SCORES, "sigmoid"), each[:, 1] / (each[:, 1] + each[:, 2]))
    logit = torch.tensor([[-0.7, 0.7]])
    assert torch.allclose(Target.of(1, 1, against=0).probability(logit, "binary"), torch.tensor(0.7).sigmoid())


def test_a_target_is_tiled_and_cut_with_its_pictures() -> None:
    target = Target(torch.tensor([4, 2]), torch.tensor([0, 1]))
    assert target.tiled(2).index.tolist() == [4, 2, 4, 2]
    part = target.tiled(2).rows(slice(1, 3))
    assert (part.index.tolist(), part.against.tolist()) == ([2, 4], [1, 0])
