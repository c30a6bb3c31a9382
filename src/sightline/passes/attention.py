"""What every token of a transformer took from every other, and the gradients of the score there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias, TypeVar

import torch

from sightline.errors import ModelError, NotSupportedError
from sightline.models.attention import WAY_OUT, Attention, attentions, blocks, check_in_turn, explicit, token_grid
from sightline.models.layers import Layer
from sightline.models.quiet import mixes_batch_mates
from sightline.models.relevance.attention_shares import AttentionShares, weights_between
from sightline.models.relevance.propagation import propagating
from sightline.models.taps import replace
from sightline.models.targets import Target
from sightline.passes.looking import module_of, survey
from sightline.passes.non_finite import finite
from sightline.passes.relevance import one_hot, refuse_foreign
from sightline.passes.runner import Runner
from sightline.passes.session import Session
from sightline.types import Pixels

T = TypeVar("T")
Look: TypeAlias = Literal["last", "all", "relevance", "blocks", "blocks-mean"]
"""Where gradients are taken, and of what: of the score at the last attention, or at all, or at all beside relevance; or
at each block's attention of that block's own score, which is what the end of the network makes of its tokens, or of
their mean."""


@dataclass(frozen=True, eq=False)
class Attended:
    """The attentions of some pictures, first layer to last.

    Attributes:
        weights: one `b h n n` float32 a layer: rows take from columns.
        gradients: ∂score/∂weights of the layers that were asked for, the last of them the last layer's.
        layer: how the tokens lie over the picture.
        relevance: of the weights, begun with 1 at the class, where it was asked for.
    """

    weights: list[torch.Tensor]
    gradients: list[torch.Tensor]
    layer: Layer
    relevance: list[torch.Tensor] = field(default_factory=list)

    def read(self) -> torch.Tensor:
        """The tokens that the score is read from, `b n`, alike and summing to 1; all 0 where it is read from none.

        The class token, or both of a distilled network, or all that are averaged: after the last attention nothing else
        has a gradient.
        """
        looked_at = (self.gradients[-1] != 0).any(3).any(1).float()
        return looked_at / looked_at.sum(1, keepdim=True).clamp_min(1)

    def cells(self, tokens: torch.Tensor) -> torch.Tensor:
        """Numbers of the tokens, `b n`, on the grid: `b 1 h w`; prefix tokens are left out."""
        return self.layer.grid(tokens[:, :, None])


class AttentionSession(Session):
    """A session that answers what a transformer's tokens took from each other."""

    def attention(self, pixels: Pixels, target: Target, look: Look, read: Callable[[Attended], T]) -> list[T]:
        """What `read` makes of a transformer's attentions and gradients there, a part of the batch at a time.

        Costs b forward and b backward passes; with a score for each of L blocks it counts as L·b forward passes.

        Raises:
            NotSupportedError: no attention of all tokens to all tokens.
        """
        run = self._runner
        ask = partial(attended, run, look)
        # Attention that is computed step by step holds about as much again as the outputs of all modules.
        return run.batched(
            len(pixels), pixels, lambda rows: read(ask(pixels[rows], target.rows(rows))), gradients=True, each=2
        )

    def blocks(self, pixels: Pixels) -> int:
        """How many blocks hand on tokens; mostly without a pass.

        Raises:
            NotSupportedError: none does.
        """
        with self._runner.working():
            return len(places_of(self._runner, self._runner.given(pixels)))


def places_of(runner: Runner, given: Pixels) -> list[str]:
    """The names of the blocks that hand on tokens, first to last.

    Raises:
        NotSupportedError: there are none.
    """
    found = blocks(survey(runner, given))
    if not found:
        raise NotSupportedError(f"{runner.classifier.name!r} has no blocks that hand on tokens: {WAY_OUT}")
    return found


def attended(runner: Runner, look: Look, pixels: Pixels, target: Target) -> Attended:
    """All attentions of one pass, and the gradients that are asked for.

    Raises:
        NotSupportedError: no attention of all tokens to all tokens; no blocks, or blocks without one attention each.
    """
    given = runner.given(pixels)
    known = survey(runner, given)
    with runner.working(), torch.enable_grad():
        if look in ("last", "all", "relevance"):
            score, found = _through(runner, given, target)
        else:
            score, found = _formed(runner, given, target, places_of(runner, given), mean=look == "blocks-mean")
        wanted = found[-1:] if look == "last" else found
        gradients = torch.autograd.grad(score, [one.edge for one in wanted])
        runner.counted(backward=len(given))
        relevance = _shares(runner, given, target) if look == "relevance" else []
    return Attended(
        [one.weights for one in found],
        [one.like(finite(gradient, "gradient")) for one, gradient in zip(wanted, gradients, strict=True)],
        token_grid(known, found, runner.classifier.name),
        [one.like(finite(shares, "relevance")) for one, shares in zip(found, relevance, strict=False)],
    )


def _shares(runner: Runner, given: Pixels, target: Target) -> tuple[torch.Tensor, ...]:
    """The relevance of all attentions, begun with 1 at the class."""
    refuse_foreign(runner, "relevance propagation")
    leaf = given.detach().clone().requires_grad_()
    with propagating(AttentionShares(), None) as check:
        scores = runner.run(leaf, exact=AttentionShares.exact)
    check(scores, leaf, runner.classifier.name)
    found = torch.autograd.grad(scores, weights_between(scores, leaf), one_hot(scores.detach(), target))
    runner.counted(backward=len(given))
    return found


def _through(runner: Runner, given: Pixels, target: Target) -> tuple[torch.Tensor, list[Attention]]:
    """The score of all pictures and the attentions on the way to it."""
    leaf = given.detach().clone().requires_grad_()
    with explicit():
        score = target.score(runner.run(leaf)).sum()
    runner.reached(score if score.requires_grad else None)
    found = attentions(score, leaf, len(given), runner.classifier.name)
    check_in_turn(found, runner.classifier.name)
    return score, found


@dataclass(eq=False)
class _Cut:
    """The stream of tokens, cut between blocks: so a block's own score reaches its own attention and no earlier one.

    Attributes:
        leaves: what each block is given, where its graph begins.
        answers: what each block gave.
        mean: whether the end of the network is given the mean of a block's tokens, in place of each.
    """

    leaves: list[torch.Tensor]
    answers: list[torch.Tensor]
    mean: bool

    def between(self, own: torch.Tensor) -> torch.Tensor:
        """After every block but the last: the same tokens, with a graph of their own."""
        self.answers.append(own)
        self.leaves.append(own.detach().requires_grad_())
        return self.leaves[-1].clone()

    def last(self, own: torch.Tensor) -> torch.Tensor:
        """After the last block: the tokens of all, so that the end of the network scores all blocks in one pass."""
        self.answers.append(own)
        if not self.mean:
            return torch.cat(self.answers)
        # Where all tokens are the same, the network reads their mean, however it reads.
        return torch.cat([each.mean(1, keepdim=True).expand_as(each) for each in self.answers])


def _formed(
    runner: Runner, given: Pixels, target: Target, places: list[str], *, mean: bool
) -> tuple[torch.Tensor, list[Attention]]:
    """The sum of all blocks' own scores, and each block's attention."""
    name, network = runner.classifier.name, module_of(runner.network)
    if mixes_batch_mates(network):
        raise NotSupportedError(f"{name!r} mixes the rows of a batch, and all blocks are scored in one: {WAY_OUT}")
    cut = _Cut([given.detach().clone().requires_grad_()], [], mean)
    with ExitStack() as taps:
        taps.enter_context(explicit())
        for place in places:
            taps.enter_context(replace(network, place, cut.last if place == places[-1] else cut.between))
        try:
            scores = runner.run(cut.leaves[0], rows=len(places) * len(given))
        except ModelError as error:
            raise NotSupportedError(
                f"{name!r} cannot go on from its blocks with the tokens of all of them: use attention-relevance"
            ) from error
    score = target.tiled(len(places)).score(scores).sum()
    runner.reached(score if score.requires_grad else None)
    each = [attentions(own, leaf, len(given), name) for own, leaf in zip(cut.answers, cut.leaves, strict=True)]
    if any(len(found) != 1 for found in each):
        counts = " and ".join(map(str, sorted({len(found) for found in each})))
        raise NotSupportedError(
            f"the blocks of {name!r} have {counts} attentions each, and one is expected: use attention-relevance"
        )
    return score, [found[0] for found in each]
