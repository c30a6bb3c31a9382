"""`sightline layers`: what can be looked at, with its size, what it sees, and whether a gradient arrives."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import sightline
from sightline.cli.main import main
from sightline.errors import LayerError
from sightline.testing.networks import Tokens, seeded
from sightline.testing.state import State

PIXELS = torch.rand(3, 33, 49, generator=torch.Generator().manual_seed(0))


def chain() -> nn.Module:
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 5, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(5, 6, 5, padding=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        )
    )()


def test_a_chain_by_hand() -> None:
    """The receptive field of a chain: 3, 3 + 2 = 5, the same, 5 + 4 · 2 = 13."""
    network = chain()
    before = State.of(network, PIXELS)
    found = sightline.layers(network, PIXELS)
    assert State.of(network, PIXELS).changes(before) == []
    assert [one.name for one in found] == ["3", "2", "1", "0"]
    assert [one.sees for one in found] == [(13, 13), (5, 5), (5, 5), (3, 3)]
    assert [(one.channels, one.height, one.width) for one in found] == [
        (6, 17, 25), (5, 17, 25), (5, 17, 25), (4, 33, 49),
    ]  # fmt: skip
    assert all(one.gradient for one in found)
    assert [one.default for one in found] == [True, False, False, False]
    assert found[0].default == (sightline.explain(network, PIXELS, "grad-cam").layer == "3")


def test_the_default_is_what_grad_cam_looks_at() -> None:
    for build in (chain, seeded(lambda: Tokens(1)), seeded(lambda: Tokens(0))):
        network = build()
        pixels = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
        chosen = [one.name for one in sightline.layers(network, pixels) if one.default]
        assert chosen == [sightline.explain(network, pixels, "grad-cam").layer]


def test_no_gradient_arrives_behind_the_last_attention() -> None:
    pixels = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
    found = {one.name: one for one in sightline.layers(seeded(lambda: Tokens(1))(), pixels)}
    assert not found["norm"].gradient
    assert found["blocks.1.norm1"].gradient
    assert found["blocks.0"].whole
    assert found["patch_embed"].sees == (4, 4)


class Aside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.aside, self.fixed = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        body = self.body(x)
        self.aside(body)
        self.fixed(torch.ones_like(x))
        scores: torch.Tensor = self.head(body.mean((2, 3)))
        return scores


def test_layers_aside_of_the_way_are_told() -> None:
    found = {one.name: one for one in sightline.layers(seeded(Aside)(), PIXELS)}
    assert found["body"].default
    assert not found["aside"].gradient
    assert found["fixed"].sees is None
    assert not found["fixed"].gradient


def test_a_function_has_no_layers() -> None:
    with pytest.raises(LayerError, match="without layers"):
        sightline.layers(lambda pixels: pixels.mean((2, 3)), PIXELS)


def test_the_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["layers", "--model", "demo"]) == 0
    shown = capsys.readouterr().out
    assert "→" in shown
    assert "sees" in shown
    assert main(["layers", "demo:dog-and-cat", "--model", "demo", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert sum(record["default"] for record in records) == 1
    assert set(records[0]) == {"name", "kind", "layout", "channels", "height", "width", "sees", "whole", "gradient",
                               "default"}  # fmt: skip
    assert main(["layers", "--model", "nothing-of-the-kind"]) == 2
