"""The two halves of a traced pass as modules, in the form that programs are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from sightline.passes.runtimes.gradients.joint import Joint, last_used, needed
from sightline.passes.runtimes.gradients.rules import value_of
from sightline.types import Pixels, Scores


class _Half(nn.Module):
    """Runs some nodes of a graph, by rules that programs have."""

    def __init__(self, traced: Joint, outputs: Sequence[fx.Node], given: Sequence[fx.Node]) -> None:
        super().__init__()
        self.training = False
        self._nodes = _before(outputs, given)
        run = fx.Interpreter(traced.graph)
        held = [node for node in self._nodes if node.op == "get_attr"]
        self._over = last_used(self._nodes, outputs)
        self._held = {node: run.get_attr(str(node.target), (), {}).detach() for node in held}

    def _run(self, given: dict[fx.Node, Any]) -> dict[fx.Node, Any]:
        values = {**self._held, **given}
        for node in self._nodes:
            if node not in self._held:
                # Where a node needs a shape alone, the value is not there, and the rule does not ask.
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.get)
                values[node] = value_of(node, args, kwargs)
            for other in self._over.get(node, ()):
                values.pop(other, None)
        return values


class Forward(_Half):
    """Pixels, `b c h w` → scores, `b k`, and what the way back needs, maps with channels last."""

    def __init__(self, traced: Joint) -> None:
        super().__init__(traced, [traced.scores, *traced.saved], [traced.pixels])
        self._traced = traced

    def forward(self, pixels: Pixels) -> tuple[torch.Tensor, ...]:
        values = self._run({self._traced.pixels: pixels})
        return values[self._traced.scores], *(handed(values[node]) for node in self._traced.saved)


class Backward(_Half):
    """The seed, `b k`, and what was saved, as `Forward` gives it → the gradient at the pixels, `b c h w`."""

    def __init__(self, traced: Joint) -> None:
        super().__init__(traced, [traced.gradient], [traced.seed, *traced.saved])
        self._traced = traced

    def forward(self, seed: Scores, *saved: torch.Tensor) -> Pixels:
        taken = dict(zip(self._traced.saved, map(_taken, saved), strict=True))
        return self._run({self._traced.seed: seed, **taken})[self._traced.gradient]


def handed(value: torch.Tensor) -> torch.Tensor:
    """As one half hands it to the other: channels last, as programs hold it, so that nothing is turned round."""
    value = value.to(torch.uint8) if value.dtype == torch.bool else value
    value = value.to(torch.int32) if value.dtype == torch.int64 else value
    return value.permute(0, 2, 3, 1) if value.ndim == 4 else value


def _taken(value: torch.Tensor) -> torch.Tensor:
    value = value.permute(0, 3, 1, 2) if value.ndim == 4 else value
    return value > 0 if value.dtype == torch.uint8 else value


def _before(outputs: Sequence[fx.Node], given: Sequence[fx.Node]) -> list[fx.Node]:
    """The nodes that some outputs are made from, in order, up to what is given."""
    wanted, found = list(outputs), set()
    while wanted:
        node = wanted.pop()
        if node in found or node in given or node.op == "placeholder":
            continue
        found.add(node)
        wanted += needed(node)
    graph = outputs[0].graph
    return [node for node in graph.nodes if node in found]
