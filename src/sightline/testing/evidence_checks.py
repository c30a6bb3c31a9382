"""M6, M7, M11, N3, N5 and R: checks that bring networks of their own, whose right answer is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution
from sightline.errors import NonFiniteError, PictureError
from sightline.models.classifier import wrap
from sightline.pictures.scale import ALL_ZERO, FLAT, NO_POSITIVE
from sightline.runs.explain import explain, explained
from sightline.runs.order import Failure, Order
from sightline.spec import has_field
from sightline.testing.case import hold, peak_map, refusal, results, same
from sightline.testing.evidence import Evidence, EvidenceTokens, Planted, peak_of

SIZES = ((32, 32), (32, 48), (48, 32), (97, 61), (1, 60))
_TOKEN_SIZES = ((32, 48), (48, 32))


def m6_tokens(method: Method) -> None:
    """Cells of a transformer's grid lie where they are, whatever tokens stand before them and however wide it is."""
    for prefix in (1, 2, 5) if method.traits.finds else ():
        for height, width in _TOKEN_SIZES:
            _finds_both(method, EvidenceTokens(prefix), height, width, f"{prefix} prefix tokens")


def m7_places(method: Method, sizes: tuple[tuple[int, int], ...] = SIZES) -> None:
    """A map is as high and wide as the input, and a planted patch is its peak, at any size.

    What does not weigh all places against each other is asked where one place decides.
    """
    for height, width in sizes:
        _finds_both(method, Evidence(one_place=not method.traits.finds), height, width, "")


def m11_colours(method: Method) -> None:
    """Red is red and blue is blue, also from an array of bytes; an array that could be either way is refused."""
    planted = Planted.in_picture(40, 56)
    array = (planted.pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    network = Evidence(one_place=not method.traits.finds)
    for target, place in ((0, planted.red), (1, planted.blue)):
        result = explain(network, array, method, target=target)
        assert isinstance(result, Attribution)
        found = _found(method, planted, torch.from_numpy(result.map), place)
        hold(found, f"class {target} is not found in a picture of bytes")
    either = np.zeros((3, 8, 3), np.uint8)
    said = refusal(PictureError, lambda: explain(Evidence(), either, method), "3 × 8 × 3, as well h w c as c h w")
    hold(said.kind == "shape", f"refused as {said.kind}")


def n3_against(method: Method) -> None:
    """Where everything speaks against the class, the map is not blank without words."""
    planted = Planted.in_picture(32, 48)
    result = results(method, Evidence(sign=-1), planted.pixels, target=0)[0]
    said = {ALL_ZERO, FLAT, NO_POSITIVE} & set(result.warnings)
    hold(result.map.max() > 0 or said, f"a map up to {result.map.max()} and no words")


def n5_not_finite(method: Method) -> None:
    """A picture for which the network gives NaN is refused by name; the others of the list go on."""
    good = Planted.in_picture(32, 32).pixels[0]
    bad = good.clone()
    bad[0, 0, 0] = 100.0
    order = Order(methods=(method,), target=0)
    outcomes = list(explained(wrap(_Fragile()), [good, bad, good.flip(-1)], order))
    hold([type(one) for one in outcomes] == [Attribution, Failure, Attribution], "the others did not go on")
    failure = outcomes[1]
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, NonFiniteError)
    hold(failure.place == 1, "failure.place == 1")
    hold(failure.picture == "tensor 1", f"refused as {failure.picture!r}")
    alone = explain(Evidence(), good, method, target=0)
    assert isinstance(alone, Attribution)
    assert isinstance(outcomes[0], Attribution)
    same(outcomes[0].map, alone.map, 1e-4, "beside a picture that fails")


def n5_message(method: Method) -> None:
    """The error that a user sees names the picture."""
    bad = Planted.in_picture(32, 32).pixels[0]
    bad[0, 0, 0] = 100.0
    good = bad.clamp(max=1)
    said = refusal(NonFiniteError, lambda: explain(_Fragile(), [good, bad], method, target=0), "a score that is NaN")
    hold("tensor 1" in str(said), f"the picture is not named: {said}")


def n5_gradients(method: Method) -> None:
    """A method that is given a gradient that is not finite refuses the picture, and makes no map of it."""
    rooted = _Rooted()
    try:
        found = results(method, rooted, torch.zeros(1, 3, 12, 12), target=0)[0]
    except NonFiniteError:
        return
    hold(found.passes.backward == 0 or not rooted.reached, "a gradient that is not finite became a map")
    hold(np.isfinite(found.map).all(), "the map is not finite")


def r1_seeds(method: Method) -> None:
    """The same seed gives the same map; another seed, of a method that draws, another map."""
    pixels = Planted.in_picture(32, 48).pixels
    # Before a ReLU, gradients depend on the picture: behind the last one, no noise on the picture could change them.
    where = {"layer": "conv"} if has_field(method, "layer") else {}
    first, again, other = (
        results(method, Evidence(), pixels, target=0, seed=seed, **where)[0].map for seed in (1, 1, 2)
    )
    same(first, again, 0, "the same seed")
    if not method.traits.deterministic:
        hold(not np.array_equal(first, other), "another seed gave the same map")
    elif not has_field(method, "seed"):
        same(first, other, 0, "a method that claims to be deterministic, with two seeds")


def m9_class_sensitive(method: Method) -> None:
    """Another class is explained by another map, where that is claimed."""
    pixels = Planted.in_picture(32, 48).pixels
    one, other = (results(method, Evidence(), pixels, target=target)[0].map for target in (0, 1))
    hold(not method.traits.class_sensitive or not np.array_equal(one, other), "both classes have the same map")


def _finds_both(method: Method, network: nn.Module, height: int, width: int, words: str) -> None:
    planted = Planted.in_picture(height, width)
    for target, place, colour in ((0, planted.red, "red"), (1, planted.blue, "blue")):
        found = peak_map(method, network, planted.pixels, target)
        hold(tuple(found.shape) == (height, width), f"{height} × {width}: a map of {tuple(found.shape)}")
        where = f"{height} × {width} {words}: {colour} lies at {place}, the map's peak at {peak_of(found)}"
        hold(_found(method, planted, found, place), where)


def _found(method: Method, planted: Planted, found: torch.Tensor, place: tuple[int, int]) -> bool:
    """Whether the peak lies at the place; for what does not look at the class, whether all that is high lies at either.

    Both patches may then be equally high, so that their peaks have no middle.
    """
    if method.traits.class_sensitive:
        return planted.finds(found, place)
    high = (found >= found.max() - 1e-6 * found.abs().max()).nonzero().tolist()
    return all(
        any(abs(row - r) <= planted.side and abs(column - c) <= planted.side for r, c in (planted.red, planted.blue))
        for row, column in high
    )


class _Fragile(Evidence):
    """NaN for a picture with a value above 50."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        broken = x.detach().flatten(1).amax(1, keepdim=True) > 50
        return super().forward(x) + torch.zeros(len(x), 1).masked_fill(broken, torch.nan)


class _Rooted(Evidence):
    """The root of nothing: its gradient is not finite, whatever the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv.bias = nn.Parameter(torch.zeros(2))
        self.reached = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nothing = self.pool(self.conv(x)).flatten(1).mul(0)
        if nothing.requires_grad:
            nothing.register_hook(self._note)  # a gradient may begin at a layer before the root, and be finite
        scores: torch.Tensor = self.linear(nothing.sqrt())
        return scores

    def _note(self, _gradient: torch.Tensor) -> None:
        self.reached = True
