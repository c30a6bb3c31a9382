"""One forward and backward pass: scores and their gradient at the pixels, by torch or by programs.

Which runs is decided here. Gradients move by thousandths where a pass sums in another order, since what lies near zero
falls on the other side of a ReLU (docs/decisions/0014): programs run them where that is agreed to, which is in the
fastest layout, with `precision=fast`, and where `runtime="openvino"` asks for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress

import torch

from sightline.models.heads import Head, two_sided
from sightline.models.quiet import mixes_batch_mates
from sightline.models.smooth import smooth_behind
from sightline.models.taps import watch
from sightline.models.targets import Target
from sightline.passes.linear import serves
from sightline.passes.memory import MEMORY
from sightline.passes.non_finite import lost_back
from sightline.passes.runner import Layout, Runner
from sightline.passes.runtimes.gradients.kept import FEWEST, BothWays
from sightline.passes.runtimes.gradients.programs import BothPasses
from sightline.passes.runtimes.held import kept_for
from sightline.passes.runtimes.openvino_program import Numbers
from sightline.passes.runtimes.question import barred
from sightline.passes.turned import PlainNorms
from sightline.types import ChannelMap, Pixels, Scores

Value = Callable[[Scores, Target], torch.Tensor]
"""What is made of scores and their target, one number a picture."""

_MOST = 4 << 30  # bytes for making programs, where no memory was declared
_Found = tuple[torch.Tensor, torch.Tensor | None]


def gradient(
    runner: Runner, batch: Pixels, target: Target, value: Value | None = None, *, layout: Layout = "same bits"
) -> tuple[torch.Tensor, ChannelMap]:
    """The score, `b`, and ∂score/∂pixels of a batch, `b c h w` float32; or another `value` of the scores.

    Raises:
        NotSupportedError: autograd does not reach the pixels.
        NonFiniteError: a score or a gradient is NaN or infinite.
    """
    if len(batch) > 1 and mixes_batch_mates(runner.network):
        rows = [target.rows(slice(place, place + 1)) for place in range(len(batch))]
        each = [gradient(runner, one, row, value, layout=layout) for one, row in zip(batch.split(1), rows, strict=True)]
        return torch.cat([score for score, _ in each]), torch.cat([found for _, found in each])

    def measured(scores: Scores) -> torch.Tensor:
        return target.score(scores) if value is None else value(scores, target)

    with runner.working(), torch.enable_grad():
        leaf = runner.given(batch).detach().requires_grad_()
        layout = "fastest" if smooth(runner, leaf) else layout
        score, found = _by_either(runner, leaf, measured, layout)
        runner.counted(backward=len(batch))
    return score.detach(), runner.reached(found, lambda: lost(runner, batch, target, value)).float()


def _by_either(runner: Runner, leaf: Pixels, measured: Callable[[Scores], torch.Tensor], layout: Layout) -> _Found:
    """By programs where there are some that serve, else by torch, after which there may be some."""
    kept = _programs(runner, leaf, layout)
    if kept is None:
        return _by_torch(runner, leaf, measured, layout)
    found = _by_programs(runner, kept, leaf, measured)
    if found is not None:
        return found
    start = time.perf_counter()
    found = _by_torch(runner, leaf, measured, layout)
    _learn(runner, kept, leaf, (time.perf_counter() - start) / len(leaf))
    return found


def _by_torch(runner: Runner, leaf: Pixels, measured: Callable[[Scores], torch.Tensor], layout: Layout) -> _Found:
    with PlainNorms() if layout == "fastest" else nullcontext():
        score = measured(runner.traced(leaf, layout=layout))
    return score, torch.autograd.grad(score.sum(), leaf, allow_unused=True)[0] if score.requires_grad else None


def _programs(runner: Runner, leaf: Pixels, layout: Layout) -> BothWays | None:
    """What is kept of the programs for such pictures; None where none may serve."""
    runtime, network = runner.questions.runtime, runner.network
    agreed = layout == "fastest" or runner.precision == "fast" or runtime == "openvino"
    if not agreed or network is None or runtime == "eager" or barred(runner.classifier, leaf) is not None:
        return None
    numbers: Numbers = "bf16" if runner.precision == "fast" else "f32"
    kept = kept_for(network, leaf, BothWays(numbers))
    if kept.program is not None and len(leaf) > kept.program.size:
        kept.forget()  # larger batches come now, for which others may be made
    return kept if kept.refusal is None and kept.takes(len(leaf)) else None


def _by_programs(
    runner: Runner, kept: BothWays, leaf: Pixels, measured: Callable[[Scores], torch.Tensor]
) -> _Found | None:
    if runner.network is None or runner.head == "auto":
        return None
    programs = kept.standing(runner.network, _answers(runner), runner.question)
    both = None
    if programs is not None:
        with suppress(RuntimeError), programs.alone() as mine:  # of memory, or of the score: torch is asked next
            both = _there_and_back(programs, leaf, runner.head, measured) if mine else None
    if programs is None or both is None:
        return None
    score, found = both
    if not bool(torch.isfinite(found).all() & torch.isfinite(score).all()):
        return None  # torch says where it ends
    runner.counted(forward=len(leaf))
    runner.questions.by_program += len(leaf)
    runner.questions.say(kept.words)
    runner.numbers.note("float32, back in bfloat16" if programs.numbers == "bf16" else "float32")
    return score, found


def _there_and_back(
    programs: BothPasses, leaf: Pixels, head: Head, measured: Callable[[Scores], torch.Tensor]
) -> tuple[torch.Tensor, ChannelMap] | None:
    """The measured scores, `b`, and their gradient; None where they do not depend on the network's scores, or one of
    those, though it be of another class, is no number."""
    raw = programs.scores(leaf)
    if not bool(torch.isfinite(raw).all()):
        return None
    raw.requires_grad_()
    score = measured(two_sided(raw, head))
    if not score.requires_grad:
        return None
    return score, programs.gradient(torch.autograd.grad(score.sum(), raw)[0])


def _learn(runner: Runner, kept: BothWays, leaf: Pixels, pace: float) -> None:
    """Make programs, where the passes that torch has run by now would have paid for them."""
    forced = runner.questions.runtime == "openvino" and len(leaf) >= FEWEST
    kept.eager += len(leaf)
    assert runner.network is not None
    if kept.program is not None or not (forced or kept.pays(runner.network, pace)) or not _fits(runner, leaf):
        return
    with runner.uncounted(), runner.numbers.aside():
        kept.make(runner.classifier, leaf.detach(), float("inf") if forced else pace, _answers(runner))


def _fits(runner: Runner, leaf: Pixels) -> bool:
    """Whether memory allows for making programs: for a while that takes three times what a pass of torch keeps, and
    six times the weights (ResNet-50, 8 pictures: 2.4 GB measured, 2.7 by this rule)."""
    assert runner.network is not None
    known = MEMORY.survey(runner.network, leaf)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in runner.network.parameters())
    each = known.gradient_bytes if known is not None else 0
    return 3 * len(leaf) * each + 6 * weights <= (runner.memory or _MOST)


def _answers(runner: Runner) -> Callable[[Pixels], Scores]:
    """The network's raw scores, without a graph and without being counted."""

    def ask(pixels: Pixels) -> Scores:
        with torch.no_grad():
            return runner.classifier.raw_scores(pixels, None)

    return ask


def lost(runner: Runner, batch: Pixels, target: Target, value: Value | None = None) -> str:
    """Where a gradient of the score stops being finite, in words: by a pass of its own, since an error is due."""
    if runner.network is None:
        return ""
    with runner.working(), runner.uncounted(), torch.enable_grad(), watch(runner.network) as events:
        scores = runner.traced(runner.given(batch).detach().clone().requires_grad_(), layout="as given")
        score = target.score(scores) if value is None else value(scores, target)
        return lost_back(events, score.sum())


def smooth(runner: Runner, leaf: Pixels) -> bool:
    """Whether a network of linear layers has no kink on the way to its scores (`linear.py`): rounding stays small.

    Found out by a pass of one picture, once, and only where something is gained by it.
    """
    if runner.network is None or not serves(runner.network, runner.device):
        return False
    known = MEMORY.smooth_from_pixels(runner.network, leaf)
    if known is None:
        with runner.working(), runner.uncounted(), runner.numbers.aside(), torch.enable_grad():
            known = smooth_behind(runner.run(leaf[:1].detach().clone().requires_grad_(), layout="as given"), ())
        MEMORY.keep_smooth_from_pixels(runner.network, leaf, known)
    return known
