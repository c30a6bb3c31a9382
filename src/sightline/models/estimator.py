"""Objects like scikit-learn's: `predict_proba` from rows of numbers to one probability a class. Forward-only.

An estimator fitted on flat rows (`n_features_in_`) is given each picture as one row. A grey picture has one order of
its numbers; a colour picture has two, and which one it was fitted on only the user knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from sightline.errors import ModelError
from sightline.images.prepare_from import as_preparation
from sightline.models.classifier import Classifier
from sightline.models.heads import check_head
from sightline.types import Pixels

Order = Literal["flat c h w", "flat h w c"]
ORDERS: tuple[str, ...] = ("flat c h w", "flat h w c")


def is_estimator(function: Any) -> bool:
    """Whether an object answers `predict_proba` and is no class."""
    return not isinstance(function, type) and callable(getattr(function, "predict_proba", None))


class Estimator:
    """Calls `predict_proba` about pixels.

    Args:
        estimator: the fitted object.
        takes: `flat c h w` or `flat h w c`; anything else gives a grey picture flat, and `b c h w` to an object that
            was not fitted on flat rows.
    """

    def __init__(self, estimator: Any, takes: str) -> None:
        self._ask = estimator.predict_proba
        self._features = getattr(estimator, "n_features_in_", None)
        self._takes = takes
        self._name = type(estimator).__name__

    def __call__(self, pixels: Pixels) -> np.ndarray[Any, Any]:
        given = np.ascontiguousarray(pixels.detach().cpu().numpy())
        found = self._ask(self._rows(given))
        if not isinstance(found, np.ndarray):
            raise ModelError(f"{self._name}.predict_proba gives a {type(found).__name__}, expected one array b k")
        return found

    def _rows(self, given: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        channels, height, width = given.shape[1:]
        flat = self._takes in ORDERS
        if self._features is None and not flat:
            return given
        if self._features is not None and self._features != channels * height * width:
            raise ModelError(
                f"{self._name} was fitted on {self._features} numbers a picture, and {channels}×{height}×{width} "
                f"pixels are {channels * height * width}: give it a preparation of that size and number of channels"
            )
        if channels > 1 and not flat:
            raise ModelError(
                f"{self._name} takes flat rows, and does not say in which order colours come: declare "
                "takes='flat c h w' or takes='flat h w c'"
            )
        return (given.transpose(0, 2, 3, 1) if self._takes == "flat h w c" else given).reshape(len(given), -1)


def wrap_estimator(
    estimator: Any, *, labels: Sequence[str] | None, preparation: Any, head: str, name: str | None, takes: str
) -> Classifier:
    """A classifier from an object with `predict_proba`; its class names are its `classes_` unless others are given.

    Raises:
        ModelError: the preparation cannot be taken, or the head is unknown.
    """
    own = getattr(estimator, "classes_", None)
    names = labels if labels is not None else own if isinstance(own, np.ndarray) and own.ndim == 1 else None
    return Classifier(
        function=Estimator(estimator, takes),
        name=name or type(estimator).__name__,
        labels=tuple(str(label) for label in names) if names is not None else None,
        preparation=as_preparation(preparation),
        head="probabilities" if head == "auto" else check_head(head),
        forward_only="predict_proba has no gradients",
    )
