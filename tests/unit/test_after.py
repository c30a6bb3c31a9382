"""The rest of a network: activations exchanged at a layer give the scores that they must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from sightline.errors import NotSupportedError
from sightline.models.targets import Target
from sightline.passes import after as room
from sightline.passes.clean import LayerView
from sightline.passes.memory import MEMORY
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks
from sightline.passes.versions import Versions
from sightline.testing.architectures import Tail
from sightline.testing.networks import Specimen, networks
from sightline.testing.networks import seeded as built
from small import close, picture, smooth


@dataclass(frozen=True)
class Scaled(Versions):
    """The activations times a few factors."""

    factors: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.factors)

    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        return activations * torch.tensor(self.factors[rows])[:, None, None, None]


class Concatenates(nn.Module):
    """Looks back past the layer: the batch cannot become wider there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.tail = Tail(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        early = self.conv1(x).relu()
        scores: torch.Tensor = self.tail(torch.cat([self.conv2(early).relu(), early], 1))
        return scores


class Adds(Concatenates):
    """Adds in place to what came before the layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        early = self.conv1(x).relu()
        late = self.conv2(early)
        scores: torch.Tensor = self.tail(torch.cat([early.add_(late), early], 1))
        return scores


class Folds(Concatenates):
    """Reads the number of pictures from its input: a wider batch becomes more cells of one picture, with no error."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        late = self.conv2(self.conv1(x).relu()).relu()
        late = late.transpose(0, 1).reshape(1, 4, -1) if len(x) == 1 else late.flatten(2)
        mean = late.mean(2)
        scores: torch.Tensor = self.tail.linear(torch.cat([mean, mean], 1))
        return torch.cat([scores, scores])[:2] if len(x) == 1 and late.shape[2] > x[0, 0].numel() else scores


class Double(nn.Module):
    """Hands on two tensors, of which the second counts too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> Any:
        return self.conv(x), torch.full((1,), float(torch.rand(1)))


class HandsOnMore(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.tail = Double(), Tail(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = self.block(x)
        scores: torch.Tensor = self.tail(one.relu()) + other
        return scores


def view_at(passes: Passes, x: torch.Tensor, layer: str) -> LayerView:
    return passes.layer(x, layer, Target.of(1, len(x)))


@pytest.mark.parametrize(
    ("specimen", "layer"),
    [(one, layer) for one in networks() if one.name != "forward only" for layer in one.layers],
    ids=lambda value: value.name if isinstance(value, Specimen) else value,
)
def test_the_clean_activations_give_the_clean_scores(specimen: Specimen, layer: str) -> None:
    x = specimen.pixels(2)
    with Passes(specimen.wrapped(specimen.build())) as passes:
        clean = passes.scores(x)
        found = passes.after(x, view_at(passes, x, layer), Scaled((1.0, 1.0, 0.5, 1.0)))
    assert found.shape == (4, 2, clean.shape[1])
    for version in (0, 1, 3):
        assert close(found[version], clean, 1e-6)


def exchanged(network: nn.Module, layer: str, x: torch.Tensor, factor: float) -> torch.Tensor:
    """The scores with the layer's output times a factor, one picture at a time, by a plain hook."""
    handle = network.get_submodule(layer).register_forward_hook(lambda _module, _given, output: output * factor)
    with torch.no_grad():
        scores = torch.cat([network(one) for one in x.split(1)])
    handle.remove()
    return scores


@pytest.mark.parametrize(
    ("build", "layer", "widens"),
    [
        (smooth, "2", True),
        (smooth, "0", True),
        (built(Concatenates), "conv2", False),
        (built(Concatenates), "conv1", True),
        (built(Adds), "conv2", False),
        (built(Folds), "conv2", False),
    ],
)
@pytest.mark.parametrize("memory", [None, 1])
def test_scores_are_right_whether_the_batch_may_widen_or_not(
    build: Callable[[], nn.Module], layer: str, widens: bool, memory: int | None
) -> None:
    network, x = build(), picture(6, 8, pictures=2)
    with Passes(network, memory=memory) as passes:
        view = view_at(passes, x, layer)
        found = passes.after(x, view, Scaled((0.0, 0.3, 1.0, 2.0, -1.0)))
        if memory is None:
            assert MEMORY.widens(network, x[:1], layer) is widens
        assert not network.get_submodule(layer)._forward_hooks
    for version, factor in enumerate((0.0, 0.3, 1.0, 2.0, -1.0)):
        assert close(found[version], exchanged(network, layer, x, factor), 1e-5)


def test_a_careless_widening_would_give_wrong_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = built(Folds)(), picture(6, 8)
    monkeypatch.setattr(room, "_widens", lambda *_given: True)
    with Passes(network) as passes:
        found = passes.after(x, view_at(passes, x, "conv2"), Scaled((0.0, 2.0)))
    assert not close(found[0], exchanged(network, "conv2", x, 0.0), 1e-2)


def test_a_layer_whose_own_activations_do_not_give_the_scores_back_is_refused() -> None:
    x = picture(6, 8)
    with Passes(built(HandsOnMore)()) as passes, pytest.raises(NotSupportedError, match="hands on more"):
        passes.after(x, view_at(passes, x, "block"), Scaled((0.0, 2.0)))


def test_every_version_counts_as_a_pass_and_the_trial_is_made_once() -> None:
    network, x = smooth(), picture(6, 8, pictures=2)
    with Passes(network) as passes:
        view = view_at(passes, x, "2")
        counts = []
        for _ in range(2):
            before = passes.count.forward
            passes.after(x, view, Scaled((0.0, 1.0, 2.0)))
            counts.append(passes.count.forward - before)
    assert counts == [6 + 5, 6]


def test_masks_show_the_picture_where_they_are_one_and_the_fill_where_they_are_zero() -> None:
    from sightline.passes.masks import MaskSource

    class Stripes(MaskSource):
        def __len__(self) -> int:
            return 3

        def make(self, rows: slice) -> torch.Tensor:
            masks = torch.zeros(3, 1, 1, 4, 6)
            masks[1, ..., :3], masks[2] = 1, 0.25
            return masks[rows]

    x, fill = picture(4, 6, pictures=2), torch.full((2, 3, 4, 6), 0.5)
    made = Masks(Stripes(), fill).make(x, slice(0, 3)).unflatten(0, (3, 2))
    assert torch.equal(made[0], fill)
    assert torch.equal(made[1, ..., :3], x[..., :3])
    assert torch.equal(made[1, ..., 3:], fill[..., 3:])
    assert torch.allclose(made[2], 0.25 * x + 0.75 * fill)
    assert torch.equal(Masks(Stripes(), fill).make(x, slice(1, 2)), made[1])
