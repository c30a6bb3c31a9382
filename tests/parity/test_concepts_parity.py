"""Concepts beside scikit-learn's factorisation, pytorch-grad-cam's deep feature factorisation and the authors' order.

A factorisation has many local ends, so that what is compared is how well it does, and what it says of the picture.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.attribution.concepts.deep_feature_factorisation import DeepFeatureFactorisation
from sightline.attribution.concepts.factors import factorise, strengths_at
from sightline.demo.scenes import PICTURES, render_image
from sightline.passes.passes import Passes
from small import picture, seeded

decomposition = pytest.importorskip("sklearn.decomposition")


def activations(layer: str) -> torch.Tensor:
    """Of the demo network, of two of its pictures."""
    classifier = sightline.load("demo")
    found = []
    for name in ("dog-and-cat", "dog"):
        result = sightline.explain(classifier, render_image(PICTURES[name]), f"grad-cam(layer={layer})")
        with Passes(classifier) as passes:
            found.append(passes.layer(result.pixels, layer, None).activations)
    return torch.cat(found)


@pytest.fixture(scope="module")
def cells() -> torch.Tensor:
    found = activations("stage2")
    return found.permute(0, 2, 3, 1).flatten(0, 2).double().clamp(min=0)


@pytest.mark.parametrize("concepts", [3, 6])
@pytest.mark.parametrize("start", ["random", "nndsvda"])
def test_the_error_is_within_a_hundredth_of_scikit_learns(cells: torch.Tensor, concepts: int, start: str) -> None:
    theirs = decomposition.NMF(concepts, init=start, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it might go on
        rows = theirs.fit_transform(cells.numpy())
    error = np.linalg.norm(cells.numpy() - rows @ theirs.components_)
    found = factorise(cells, concepts, 0)
    assert found.errors[-1] <= 1.01 * error


def test_strengths_are_those_of_scikit_learns_transform(cells: torch.Tensor) -> None:
    theirs = decomposition.NMF(4, init="nndsvda", max_iter=400, tol=1e-8)
    theirs.fit(cells.numpy())
    expected = theirs.transform(cells.numpy())
    found = strengths_at(cells, torch.from_numpy(theirs.components_)).numpy()
    errors = [np.linalg.norm(cells.numpy() - rows @ theirs.components_) for rows in (found, expected)]
    assert errors[0] <= errors[1] * (1 + 1e-6)
    np.testing.assert_allclose(found, expected, atol=0.01 * expected.max())


def test_concepts_are_pytorch_grad_cams() -> None:
    """With its factors in place of ours, the maps are its maps; with our start, the factors do as well as its own."""
    theirs = pytest.importorskip("pytorch_grad_cam.feature_factorization.deep_feature_factorization")
    given = activations("stage2")[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directions, maps = theirs.dff(given.numpy(), n_components=4)
    floor = given.flatten(2).amin(2)[0]
    flat = (given.flatten(2)[0] - floor[:, None]).T.double()
    known = torch.from_numpy(directions).T - floor
    built = torch.from_numpy(maps).flatten(2)[0].T.double() @ known.double()
    found = factorise(flat, 4, 0)
    assert found.errors[-1] <= 1.01 * float(torch.linalg.norm(flat - built))
    own = strengths_at(flat, known)
    for ours, map_ in zip(own.T, maps[0], strict=True):
        assert np.corrcoef(ours.numpy(), map_.ravel())[0, 1] > 0.99


class _Head(nn.Module):
    """What stands behind the layer: average and linear."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.pool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.linear(self.pool(self.features(x)).flatten(1))
        return scores


def test_classes_of_a_concept_are_the_last_layers_answer_to_its_direction() -> None:
    """As pytorch-grad-cam's `computation_on_concepts`, at the length that the concept has where it is strongest."""
    network, x = seeded(_Head(), 3), picture(16, 16)
    maps = DeepFeatureFactorisation(concepts=3, layer="features")(network, x, 0)
    for strengths, direction, classes, told in zip(
        *(maps.arrays[name][0] for name in ("concepts", "directions", "classes", "class_probabilities")), strict=True
    ):
        with torch.no_grad():
            answer = network.linear(strengths.max() * direction).softmax(0)
        assert classes.tolist() == answer.topk(3).indices.tolist()
        np.testing.assert_allclose(told, answer.topk(3).values, rtol=1e-4)
