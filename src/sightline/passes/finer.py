"""Finer grids: the layers before a layer that lie on grids of more cells."""

from __future__ import annotations

from sightline.models.layers import candidates, full_name
from sightline.models.taps import visible
from sightline.passes.looking import module_of, named_layer, survey
from sightline.passes.runner import Runner
from sightline.types import Pixels


def finer(runner: Runner, pixels: Pixels, name: str) -> list[str]:
    """Of every finer grid before a layer the last layer on it, the coarsest grid first.

    The end of a stage goes before the branch of a block that leads on to the next grid, which the rest of the picture's
    way passes by: what fewer modules on a coarser grid enclose.
    """
    network, given = module_of(runner.network), runner.given(pixels)
    names = list(visible(network))
    start = named_layer(runner, given, full_name(name, names))
    order = [seen.name for seen in survey(runner, given).seen]
    cells = {layer.name: layer.height * layer.width for layer in candidates(survey(runner, given), 0)}
    found: dict[int, tuple[int, str]] = {}
    for layer, own in cells.items():
        if own > start.height * start.width and order.index(layer) < order.index(start.name):
            enclosing = sum(own > other and layer.startswith(f"{block}.") for block, other in cells.items())
            if own not in found or enclosing < found[own][0]:
                found[own] = enclosing, layer
    return [found[own][1] for own in sorted(found)]
