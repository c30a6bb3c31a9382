"""Questions of `Passes` that show gradients a part at a time: along versions of a picture, and inside a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import LayerError
from sightline.models.targets import Target
from sightline.passes.inside import Inside
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Blurs, Path, Stretch
from small import close, gradient_of, picture, smooth


@pytest.mark.parametrize("memory", [None, 1])
def test_along_shows_every_version_once_and_in_order(memory: int | None) -> None:
    network, x, target = smooth(), picture(6, 7, pictures=2), Target.of([0, 2])
    passes, seen = Passes(network, memory=memory), list[Stretch]()
    path = Path(torch.zeros_like(x), torch.linspace(0, 1, 5))
    passes.along(x, path, target, seen.append)
    assert [row for found in seen for row in range(found.rows.start, found.rows.stop)] == list(range(5))
    scores, gradients = (torch.cat([getattr(found, name) for found in seen]) for name in ("scores", "gradients"))
    versions = torch.cat([found.versions for found in seen])
    for row, alpha in enumerate(torch.linspace(0, 1, 5)):
        assert close(versions[row], alpha * x)
        for place, index in enumerate((0, 2)):
            one = alpha * x[place : place + 1]
            assert float(scores[row, place]) == pytest.approx(float(network(one)[0, index].detach()), abs=1e-5)
            expected = gradient_of(network, one, lambda found, index=index: found[:, index])
            assert close(gradients[row, place], expected[0], 1e-4)
    assert (passes.count.forward, passes.count.backward) == (10, 10)


def test_blurs_end_with_the_picture_itself() -> None:
    x = picture(6, 7, pictures=2)
    made = Blurs((3.0, 1.0, 0.0)).make(x, slice(0, 3)).unflatten(0, (3, 2))
    assert torch.equal(made[2], x)
    spread = [float(version.std()) for version in made]
    assert spread == sorted(spread)
    assert torch.equal(made[1], Blurs((3.0, 1.0, 0.0)).make(x, slice(1, 2)))


class Twice(nn.Module):
    """One linear layer used twice, and one that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.idle, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.shared(self.shared(x).relu_()).mean((2, 3)))
        return found


def test_inside_gives_the_gradient_at_every_call_of_every_module() -> None:
    network, x = Twice().eval(), picture(4, 5, pictures=2)
    passes, target = Passes(network), Target.of([1, 0])
    found: list[Inside] = passes.inside(x, ["shared", "idle", "last"], target, lambda inside: inside)
    assert sum(len(one.scores) for one in found) == 2
    whole = {name: len(found[0].gradients[name]) for name in ("shared", "idle", "last")}
    assert whole == {"shared": 2, "idle": 0, "last": 1}
    # A bias acts at every call of its module: the sum of the gradients there is its own gradient.
    (expected,) = torch.autograd.grad(target.score(network(x)).sum(), network.shared.bias)
    summed = sum(gradient.sum((0, 2, 3)) for one in found for gradient in one.gradients["shared"])
    assert close(torch.as_tensor(summed), expected)
    assert found[0].grid("last", found[0].gradients["last"][0]) is None
    with pytest.raises(LayerError, match="function"):
        Passes(lambda pixels: pixels.mean((2, 3))).inside(x, [], target, lambda inside: inside)
