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
from sightline.models.sources.base import first_line
from sightline.types import Pixels

Order = Literal["flat c h w", "flat h w c"]
_SLACK = 1e-3  # of rounding beyond 0 and 1
_OTHER = (
    "where it takes or gives something else, write a function from an array b c h w to scores b k that calls it, and "
    "give it to sightline.wrap(function, takes='array')"
)
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
        probabilities: whether its answers have to lie between 0 and 1.
    """

    def __init__(self, estimator: Any, takes: str, *, probabilities: bool = True) -> None:
        self._probabilities = probabilities
        self._ask = estimator.predict_proba
        self._features = getattr(estimator, "n_features_in_", None)
        self._takes = takes
        self._name = type(estimator).__name__

    def __call__(self, pixels: Pixels) -> np.ndarray[Any, Any]:
        given = np.ascontiguousarray(pixels.detach().cpu().numpy())
        rows = self._rows(given)
        try:
            found = self._ask(rows)
        except Exception as error:
            # Anything may go wrong in somebody's code; the reason is theirs, and is passed on.
            shape = "×".join(map(str, rows.shape))
            raise ModelError(
                f"{self._name}.predict_proba fails on {rows.dtype} of {shape} ({type(error).__name__}: "
                f"{first_line(error)}): {_OTHER}"
            ) from error
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
            kind = f"an array of {found.dtype}" if isinstance(found, np.ndarray) else f"a {type(found).__name__}"
            raise ModelError(f"{self._name}.predict_proba gives {kind}, expected one array b k of numbers: {_OTHER}")
        low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)
        if self._probabilities and (low < -_SLACK or high > 1 + _SLACK):
            raise ModelError(
                f"{self._name}.predict_proba gives numbers from {low:.3g} to {high:.3g}, no probabilities: declare "
                "what they are with head="
            )
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
    declared = check_head(head)
    own = getattr(estimator, "classes_", None)
    names = labels if labels is not None else own if isinstance(own, np.ndarray) and own.ndim == 1 else None
    return Classifier(
        function=Estimator(estimator, takes, probabilities=declared == "auto" or "probabilit" in declared),
        name=name or type(estimator).__name__,
        labels=tuple(str(label) for label in names) if names is not None else None,
        preparation=as_preparation(preparation),
        head="probabilities" if declared == "auto" else declared,
        forward_only="predict_proba has no gradients",
    )
