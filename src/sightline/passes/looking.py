"""Looking at a batch: the clean pass that keeps what will be asked for, and the view of a layer in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import nn

from sightline.errors import LayerError
from sightline.models.layers import Layer, candidates, full_name, named
from sightline.models.smooth import smooth_behind
from sightline.models.survey import Survey, survey_of
from sightline.models.taps import capture, visible, watch
from sightline.models.targets import Target
from sightline.passes.clean import Clean, DeadLayerError, LayerView, choose, view_of
from sightline.passes.gradient_pass import lost, smooth
from sightline.passes.memory import MEMORY
from sightline.passes.non_finite import finite
from sightline.passes.plan import Graph
from sightline.passes.runner import Layout, Runner
from sightline.passes.to_layer import program_to
from sightline.types import ChannelMap, Pixels

_MOST_SUGGESTIONS = 5


def look(runner: Runner, pixels: Pixels, *, gradients: bool, layers: Sequence[str | None]) -> Clean:
    """A clean pass over `pixels`, `b c h w`.

    Args:
        runner: where the network is called.
        pixels: unperturbed.
        gradients: whether the graph shall begin at the pixels.
        layers: names of layers to capture; None for the best one, which the first pass over a network finds.

    Raises:
        LayerError: no such layer, or one that runs several times.
    """
    network, given = runner.network, runner.given(pixels)
    names = _names(runner, given, layers) if layers else []
    explore = None in names
    # An undeclared head is told from the graph; a captured layer brings one of its own.
    tell = runner.head == "auto" and not names
    from_pixels = runner.classifier.gradients and (gradients or explore or tell)
    known = network is None or MEMORY.survey(network, given) is not None
    leaf = given.detach().clone().requires_grad_() if from_pixels else given
    program = None if from_pixels else program_to(runner, given, names)
    if program is not None and (found := program.look(runner, pixels, given)) is not None:
        return found
    layout = _layout(runner, given, names, from_pixels=from_pixels)
    with ExitStack() as taps:
        taps.enter_context(torch.enable_grad() if from_pixels or names else torch.no_grad())
        events = [] if known and not explore else taps.enter_context(watch(module_of(network)))
        wanted = [name for name in names if name is not None]
        captured = taps.enter_context(capture(module_of(network), wanted)) if wanted else {}
        graph = runner.traced(leaf, layout=layout) if from_pixels else runner.run(leaf, layout=layout)
    if captured and not from_pixels:
        MEMORY.keep_smooth(module_of(network), given, names, smooth_behind(graph, ()))
    if network is not None and not known:
        MEMORY.keep_survey(network, given, survey_of(events, given))
    clean = Clean(
        pixels=pixels,
        scores=graph.detach(),
        graph=graph if graph.requires_grad else None,
        leaf=leaf if from_pixels else None,
        captured={name: _once(runner, name, calls, given) for name, calls in captured.items()},
        events=events if explore else [],
    )
    program = None if from_pixels else program_to(runner, given, names)  # the pass may have shown what it needs to know
    return clean if program is None else program.learn(runner, given, clean)


def _layout(runner: Runner, given: Pixels, names: Sequence[str | None], *, from_pixels: bool) -> Layout | None:
    """How the pixels lie in memory; None leaves it to the runner.

    In another layout activations differ by rounding alone. So do gradients, unless a kink is on their way.
    """
    if from_pixels and smooth(runner, given):
        return "fastest"
    if not names:
        return None
    moves = from_pixels or not MEMORY.smooth(module_of(runner.network), given, names)
    return "as given" if moves else "fastest"


def view(runner: Runner, clean: Clean, name: str | None, target: Target | None) -> LayerView:
    """A layer of a clean pass, and with a target the gradients there.

    Raises:
        LayerError: the layer has no grid, is not on the way to the score, or cannot influence it.
    """
    given = runner.given(clean.pixels)
    wanted = _module_name(module_of(runner.network), given, name)
    if wanted is None or wanted not in clean.captured:
        return _chosen(runner, clean, given, target)
    try:
        found = view_of(clean, named_layer(runner, given, wanted), target)
    except DeadLayerError as dead:
        if MEMORY.chosen(module_of(runner.network), given) == wanted:
            MEMORY.forget_chosen(module_of(runner.network), given)  # the weights have changed since it was chosen
        if name is None:
            return view(runner, look(runner, clean.pixels, gradients=False, layers=[None]), None, target)
        raise LayerError(f"{dead}: {_suggestion(runner, given)}") from None
    return _checked(runner, found)


def asked(runner: Runner, clean: Clean, name: str | None, target: Target | None) -> LayerView:
    """A layer of a clean pass, as `view` gives it; what was asked for before is not run again.

    Raises:
        LayerError: as `view`.
    """
    found = clean.views.find(name, target)
    if found is None:
        found = view(runner, clean, name, target)
        for place in dict.fromkeys((name, found.layer.name)):
            clean.views.keep(place, target, found)
            if target is not None:
                clean.views.keep(place, None, found.plain())
    return found


def at_pixels(runner: Runner, clean: Clean, leaf: Pixels, target: Target) -> ChannelMap:
    """∂score/∂pixels, `b c h w` float32, of a clean pass whose graph begins at these pixels; run back only once.

    Raises:
        NotSupportedError: autograd does not reach the pixels.
    """
    found = clean.at_pixels.find(None, target)
    if found is None:
        (gradient,) = clean.gradients(target, [leaf])
        runner.counted(backward=len(leaf))
        found = runner.reached(gradient, lambda: lost(runner, leaf, target)).float()
        clean.at_pixels.keep(None, target, found)
    return found.clone()  # a map may hold it, and each result is the user's own


def holds(runner: Runner, clean: Clean, name: str | None) -> bool:
    """Whether a clean pass kept what a view of this layer needs."""
    if clean.views.find(name, None) is not None:
        return True
    wanted = _module_name(module_of(runner.network), runner.given(clean.pixels), name)
    return wanted in clean.captured or (name is None and bool(clean.events))


def begins(runner: Runner, pixels: Pixels, layers: Sequence[str | None]) -> Graph:
    """Where a graph behind these layers begins: at the pixels while the best layer is not known yet."""
    if runner.network is None:
        return False  # refused where it is asked
    names = [_module_name(runner.network, pixels, wanted) for wanted in layers]
    return None in names or tuple(dict.fromkeys(name for name in names if name is not None))


def survey(runner: Runner, given: Pixels) -> Survey:
    """The survey of the network at this input size, from a pass of its own if there was none yet."""
    network = module_of(runner.network)
    if MEMORY.survey(network, given) is None:
        look(runner, given[:1], gradients=False, layers=[])
    found = MEMORY.survey(network, given)
    assert found is not None
    return found


def module_of(network: nn.Module | None) -> nn.Module:
    """The network itself.

    Raises:
        LayerError: the classifier is a function.
    """
    if network is None:
        raise LayerError("this classifier is a function without layers")
    return network


def _chosen(runner: Runner, clean: Clean, given: Pixels, target: Target | None) -> LayerView:
    event, found = choose(clean, survey(runner, given), target)
    if found.layer.layout != "tokens" or bool(found.gradients.any()):
        # Where all gradients are zero (a new, untrained head) nothing tells which tokens influence the score.
        MEMORY.keep_chosen(module_of(runner.network), given, event.name)
    if event.overwritten:
        # A later in-place operation wrote over the activations: only a pass with the layer captured has them.
        again = look(runner, clean.pixels, gradients=False, layers=[event.name])
        return view(runner, again, event.name, target)
    clean.captured[event.name] = event.output
    if clean.graph is not None:
        smooth = smooth_behind(clean.graph, [event.output])
        MEMORY.keep_smooth(module_of(runner.network), given, [event.name], smooth)
    return _checked(runner, found)


def _checked(runner: Runner, found: LayerView) -> LayerView:
    if found.own_gradients is not None:
        runner.counted(backward=len(found.activations))
        finite(found.own_gradients, "gradient")
    return found


def _names(runner: Runner, given: Pixels, layers: Sequence[str | None]) -> list[str | None]:
    """The modules that the wanted layers mean; None while the best one is not known yet."""
    names: list[str | None] = []
    for wanted in layers:
        name = _module_name(module_of(runner.network), given, wanted)
        if wanted is not None and name is None:
            # An unknown name: one pass shows which layers there are, for the error.
            named_layer(runner, given, wanted)
        names.append(name)
    return list(dict.fromkeys(names))


def _module_name(network: nn.Module, given: Pixels, wanted: str | None) -> str | None:
    """The module that a user's words name, or the one chosen earlier; None where there is none."""
    names = list(visible(network))
    name = MEMORY.chosen(network, given) if wanted is None else full_name(wanted, names)
    return name if name in names else None


def _once(runner: Runner, name: str, calls: list[torch.Tensor], given: Pixels) -> torch.Tensor:
    """The output of a layer that ran exactly once; else the error that says what to use."""
    if len(calls) != 1:
        named_layer(runner, given, name)
        raise LayerError(f"layer {name!r} runs {len(calls)} times in one pass")
    return calls[0]


def named_layer(runner: Runner, given: Pixels, name: str) -> Layer:
    """The layer that a module is.

    Raises:
        LayerError: it is none, with layers that are.
    """
    return named(survey(runner, given), name, lambda: _suggestion(runner, given))


def _suggestion(runner: Runner, given: Pixels) -> str:
    """The layer that suits best, and some before it, in words: found by a pass of its own, since an error is due."""
    clean = look(runner, given[:1], gradients=False, layers=[None])
    known = [layer.name for layer in candidates(survey(runner, given), clean.scores.shape[1])]
    try:
        best = view(runner, clean, None, Target(clean.scores.argmax(1))).layer.name
    except LayerError as error:
        return str(error)
    return "these work: " + ", ".join(map(repr, known[known.index(best) :][:_MOST_SUGGESTIONS]))
