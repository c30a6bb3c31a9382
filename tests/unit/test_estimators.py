"""Objects with `predict_proba`: fitted on flat rows or not, their probabilities are those of the object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.attribution.table import METHODS
from sightline.errors import ModelError, NotSupportedError
from sightline.passes.passes import Passes
from small import picture

linear_model = pytest.importorskip("sklearn.linear_model")


def fitted(features: int, classes: tuple[Any, ...] = ("cat", "dog", "owl")) -> Any:
    draw = np.random.default_rng(0)
    rows = draw.random((60, features))
    return linear_model.LogisticRegression().fit(rows, np.array([classes[n % len(classes)] for n in range(60)]))


def scores(classifier: sightline.Classifier, pixels: torch.Tensor) -> torch.Tensor:
    with Passes(classifier) as passes:
        return passes.scores(pixels)


def test_a_grey_picture_is_given_flat() -> None:
    estimator = fitted(64)
    pixels = picture(8, 8, 4)[:, :1]
    classifier = sightline.wrap(estimator)
    assert np.allclose(scores(classifier, pixels), estimator.predict_proba(pixels.reshape(4, 64).numpy()), atol=1e-6)
    assert (classifier.labels, classifier.head) == (("cat", "dog", "owl"), "probabilities")
    assert classifier.name == "LogisticRegression"


@pytest.mark.parametrize(("takes", "order"), [("flat c h w", (0, 1, 2, 3)), ("flat h w c", (0, 2, 3, 1))])
def test_a_colour_picture_is_given_in_the_declared_order(takes: Any, order: tuple[int, ...]) -> None:
    estimator = fitted(3 * 16)
    pixels = picture(4, 4, 4)
    rows = pixels.permute(*order).reshape(4, -1).numpy()
    assert np.allclose(scores(sightline.wrap(estimator, takes=takes), pixels), estimator.predict_proba(rows), atol=1e-6)
    with pytest.raises(ModelError, match=r"in which order colours come.*flat h w c"):
        scores(sightline.wrap(estimator), pixels)


def test_another_number_of_pixels_is_refused() -> None:
    with pytest.raises(ModelError, match=r"fitted on 64 numbers a picture, and 1×9×8 pixels are 72"):
        scores(sightline.wrap(fitted(64)), picture(9, 8)[:, :1])


def test_occlusion_finds_what_a_linear_model_looks_at_and_gradients_are_refused() -> None:
    estimator = fitted(64, (0, 1))
    estimator.coef_ = np.zeros((1, 64))
    estimator.coef_[0, 27] = 5.0  # row 3, column 3
    classifier = sightline.wrap(estimator)
    assert classifier.labels == ("0", "1")
    values = METHODS.make("occlusion(window=1, stride=1, fill=black)")(classifier, picture(8, 8)[:, :1], 1).values
    assert int(values.abs().flatten().argmax()) == 27
    with pytest.raises(NotSupportedError, match="forward-only: predict_proba has no gradients"):
        METHODS.make("gradient")(classifier, picture(8, 8)[:, :1], 1)


class OfPictures:
    """An object of one's own that takes pictures as they are."""

    def predict_proba(self, pictures: np.ndarray) -> np.ndarray:
        assert pictures.ndim == 4
        share = pictures.mean((1, 2, 3))
        return np.stack([share, 1 - share], 1)


class OfSeveralAnswers(OfPictures):
    def predict_proba(self, pictures: np.ndarray) -> Any:
        return [super().predict_proba(pictures)] * 2


def test_an_object_that_was_fitted_on_no_rows_takes_pictures() -> None:
    pixels = picture(4, 5, 3)
    assert torch.allclose(scores(sightline.wrap(OfPictures()), pixels)[:, 0], pixels.mean((1, 2, 3)))
    with pytest.raises(ModelError, match="predict_proba gives a list"):
        scores(sightline.wrap(OfSeveralAnswers()), pixels)


def test_a_class_is_no_estimator_and_flat_is_for_estimators() -> None:
    with pytest.raises(ModelError, match="callable from pixels to scores"):
        sightline.wrap(OfPictures)
    with pytest.raises(ModelError, match="for objects with predict_proba"):
        sightline.wrap(lambda pixels: pixels, takes="flat c h w")


class Fitted:
    """An object with `predict_proba` that does as it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict_proba(self, rows: np.ndarray[Any, Any]) -> Any:
        return self.answer(rows)


def refuses(rows: np.ndarray[Any, Any]) -> Any:
    raise TypeError(f"uint8 wanted, not {rows.dtype}")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refuses, r"fails on float32 of 4×3×8×8 \(TypeError: uint8 wanted, not float32\).*takes='array'"),
        (lambda rows: [[0.5, 0.5]] * len(rows), "gives a list, expected one array"),
        (lambda rows: np.full((len(rows), 2), "a"), "gives an array of <U1, expected one array"),
        (lambda rows: np.full((len(rows), 2), -2.5), r"numbers from -2\.5 to -2\.5, no probabilities: declare"),
    ],
)
def test_what_is_no_probabilities_is_refused(answer: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        scores(sightline.wrap(Fitted(answer)), picture(8, 8, 4))
    assert "\n" not in str(caught.value)


def test_scores_of_another_kind_are_taken_where_they_are_declared() -> None:
    classifier = sightline.wrap(Fitted(lambda rows: rows.mean((2, 3)) * 9 - 5), head="softmax")
    pixels = picture(8, 8, 4)
    assert torch.allclose(scores(classifier, pixels), pixels.mean((2, 3)) * 9 - 5, atol=1e-5)
