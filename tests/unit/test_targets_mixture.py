"""A class against several others at once, as a target."""

from __future__ import annotations

import pytest
import torch

from sightline.errors import NotSupportedError
from sightline.models.targets import AgainstMixture, Target

SCORES = torch.tensor([[1.0, 2.0, 4.0, 8.0], [5.0, 4.9, -3.0, 5.2]])


def test_the_nearest_classes_share_the_weight() -> None:
    found = AgainstMixture.similar(Target.of([1, 0]), SCORES, 2, 0.5, likely=False)
    assert torch.equal(found.weights, torch.tensor([[0.25, 0, 0.25, 0], [0, 0.25, 0, 0.25]]))
    expected = torch.tensor([2 - (1 + 4) / 4, 5 - (4.9 + 5.2) / 4])
    assert torch.allclose(found.score(SCORES), expected)


def test_likely_classes_weigh_more() -> None:
    found = AgainstMixture.similar(Target.of([1, 0]), SCORES, 2, 1.0, likely=True)
    odds = SCORES.softmax(1)
    assert found.weights[0, 2] == pytest.approx(float(odds[0, 2] / (odds[0, 0] + odds[0, 2])))
    assert torch.allclose(found.weights.sum(1), torch.ones(2))
    assert float(found.weights[0, 1]) == 0


def test_a_contrast_says_itself_what_it_is_against() -> None:
    found = AgainstMixture.similar(Target.of([1, 0], against=3), SCORES, 2, 1.0, likely=False)
    assert torch.equal(found.score(SCORES), Target.of([1, 0], against=3).score(SCORES))


def test_more_classes_than_there_are_means_all_others() -> None:
    found = AgainstMixture.similar(Target.of([1, 0]), SCORES, 99, 3.0, likely=False)
    assert torch.equal(found.weights, torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 1]]))


def test_rows_and_tiles_keep_their_weights() -> None:
    found = AgainstMixture.similar(Target.of([1, 0]), SCORES, 1, 1.0, likely=False)
    assert torch.equal(found.rows(slice(1, 2)).score(SCORES[1:]), found.score(SCORES)[1:])
    assert torch.equal(found.tiled(3).score(SCORES.repeat(3, 1)), found.score(SCORES).repeat(3))
    assert len(found.tiled(3)) == 6


def test_it_has_no_probability() -> None:
    found = AgainstMixture.similar(Target.of([1, 0]), SCORES, 1, 1.0, likely=False)
    with pytest.raises(NotSupportedError, match="grad-cam"):
        found.probability(SCORES, "softmax")
