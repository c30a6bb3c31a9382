"""What a classifier must do before anything it is asked can be explained."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sightline.errors import SightlineError
from sightline.models.classifier import Classifier, wrap
from sightline.passes.passes import Passes
from sightline.testing.case import hold
from sightline.testing.report import Cell, Report


def check_classifier(
    function: Classifier | Callable[..., object], pixels: torch.Tensor, *, demand: bool = True
) -> Report:
    """Hold a classifier to the contract.

    Args:
        function: a classifier, an `nn.Module`, or a callable from pixels to scores.
        pixels: at least two different prepared pictures, `b c h w`.
        demand: whether to raise where a cell is wrong.

    Raises:
        ContractError: a cell is wrong.
    """
    classifier = wrap(function)
    cells = []
    for check in (_scores, _repeats, _alone, _labels, _input):
        words = (check.__doc__ or "").strip()
        statement = check.__name__.strip("_")
        try:
            check(classifier, pixels)
        except (AssertionError, SightlineError) as error:
            cells.append(Cell(statement, words, classifier.name, "wrong", str(error)))
        else:
            cells.append(Cell(statement, words, classifier.name, "pass"))
    report = Report(classifier.name, tuple(cells))
    return report.demand() if demand else report


def _scores(classifier: Classifier, pixels: torch.Tensor) -> None:
    """Scores are one finite row a picture, and probabilities lie between 0 and 1."""
    with Passes(classifier) as passes:
        scores = passes.scores(pixels)
        probabilities = passes.probabilities(scores)
    hold(scores.shape[0] == len(pixels), f"{len(pixels)} pictures gave scores {tuple(scores.shape)}")
    hold(bool(((probabilities >= -1e-5) & (probabilities <= 1 + 1e-5)).all()), "probabilities outside 0 to 1")


def _repeats(classifier: Classifier, pixels: torch.Tensor) -> None:
    """The same pictures get the same scores."""
    hold(torch.equal(_ask(classifier, pixels), _ask(classifier, pixels)), "a second call gave other scores")


def _alone(classifier: Classifier, pixels: torch.Tensor) -> None:
    """A picture's scores do not depend on its batch mates."""
    together = _ask(classifier, pixels)
    alone = torch.cat([_ask(classifier, one) for one in pixels.split(1)])
    apart = float((together - alone).abs().max())
    hold(apart <= 1e-4 * max(1.0, float(together.abs().max())), f"scores differ by {apart:.3g} in a batch")


def _labels(classifier: Classifier, pixels: torch.Tensor) -> None:
    """There are as many labels as scores."""
    found = _ask(classifier, pixels[:1]).shape[1]
    labels = classifier.labels
    hold(labels is None or len(labels) == found, f"{found} scores and {len(labels or ())} labels")


def _input(classifier: Classifier, pixels: torch.Tensor) -> None:
    """The pixels are not written into."""
    before = pixels.clone()
    _ask(classifier, pixels)
    hold(torch.equal(before, pixels), "the pixels were changed")


def _ask(classifier: Classifier, pixels: torch.Tensor) -> torch.Tensor:
    with Passes(classifier) as passes:
        return passes.scores(pixels)
