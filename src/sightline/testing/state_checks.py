"""S1 to S7: the network, the input and the process are left as they were, and the caller's state does not matter."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress

import torch
from torch import nn

from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.testing.case import REFUSALS, Case, hold, left_as_found, same
from sightline.testing.injections import (
    InjectedError,
    InjectedInterrupt,
    failing_backward,
    failing_ending,
    failing_forward,
    failing_target,
    leaves,
    registrations,
    stall,
)

_WARM_UP = 3
_EXACT = 1e-6
_KERNELS = 1e-4  # a second call runs larger batches, and CPU kernels then sum in another order


def s1_registration(case: Case) -> None:
    """Hooks are gone when registering one of them fails."""
    with registrations() as made:
        case.fresh()
    for number in range(len(made)):
        with registrations(fail_at=number):
            _fails(case, case.specimen.build(), f"registration {number} of {len(made)} failing")


def s1_passes(case: Case) -> None:
    """Hooks are gone, and everything is as found, when the forward or backward pass fails or is interrupted."""
    pixels = case.specimen.pixels()
    count = len(leaves(case.specimen.build(), pixels))
    for place, error in ((0, InjectedError), (count // 2, InjectedInterrupt), (count - 1, InjectedError)):
        network = case.specimen.build()
        mend = failing_forward(leaves(network, pixels)[place], error)
        _fails(case, network, f"module {place} of {count} failing", mend)
    network = case.specimen.build()
    mend, exploded = failing_backward(leaves(network, pixels)[-1])
    _fails(case, network, "backward failing", mend, must_fail=exploded)


def s1_ending(case: Case) -> None:
    """Hooks are gone, and everything is as found, when the target or the last step fails."""
    with failing_target():
        _fails(case, case.specimen.build(), "the target failing")
    with failing_ending():
        _fails(case, case.specimen.build(), "the last step failing")


def s2_memory(case: Case, calls: int = 25) -> None:
    """No tensor stays alive, however often the method is called."""
    network, pixels = case.specimen.build(), case.specimen.pixels()
    gc.collect()
    gc.freeze()  # what is there already is neither searched nor counted
    try:
        for _ in range(_WARM_UP):
            case.results(network, pixels)
        before = _live_tensors()
        for _ in range(calls):
            case.results(network, pixels)
        after = _live_tensors()
    finally:
        gc.unfreeze()
    hold(after == before, f"{calls} calls left {after - before} tensors alive")


def s3_as_found(case: Case) -> None:
    """Modes, parameters, buffers, gradients, hooks, the input and the random states are bit for bit as before."""
    network, pixels = case.specimen.build(), case.specimen.pixels()
    parameters = list(network.parameters())
    parameters[0].grad = torch.full_like(parameters[0], 0.5)
    parameters[-1].requires_grad_(False)
    modules = list(network.modules())
    modules[-1].training = False
    handle = modules[-1].register_forward_hook(lambda _module, _given, _output: None)
    with left_as_found(network, pixels, "after a call"), suppress(*REFUSALS):
        case.results(network, pixels)
    handle.remove()


def s3_evaluation(case: Case) -> None:
    """The explanation is of the network in evaluation mode: dropout off, batch normalisation frozen."""
    network, pixels = case.specimen.build(), case.specimen.pixels()
    first, second = case.maps(network, pixels), case.maps(network, pixels)
    same(first, second, 0, "the same call twice")
    quiet = case.specimen.build()
    for module in quiet.modules():
        module.training = False
    same(first, case.maps(quiet, pixels), _EXACT, "training and evaluation mode")


def s4_own_train(case: Case) -> None:
    """The network's own `train` and `eval` are never called."""
    network = case.specimen.build()

    def refuse(*_args: object) -> None:
        raise AssertionError("train() or eval() of the network was called")

    for module in network.modules():
        module.train = module.eval = refuse  # type: ignore[method-assign, assignment]
    same(case.maps(network, case.specimen.pixels()), case.fresh(), _EXACT, "overridden train")


def s5_caller(case: Case) -> None:
    """The map does not depend on frozen parameters, `no_grad`, `inference_mode`, or where the input was made."""
    expected, pixels = case.fresh(), case.specimen.pixels()
    frozen = case.specimen.build()
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    same(case.maps(frozen, pixels), expected, _EXACT, "frozen parameters")
    modes: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "no_grad": torch.no_grad,
        "inference_mode": torch.inference_mode,
    }
    for name, mode in modes.items():
        network = case.specimen.build()
        with mode(), left_as_found(network, pixels, f"under {name}"):
            found = [case.maps(network, pixels), case.maps(network, pixels)]
        for one in found:
            same(one, expected, _EXACT, f"under {name}")
    with torch.inference_mode():
        made_there = pixels.clone()
    same(case.maps(case.specimen.build(), made_there), expected, _EXACT, "input made in inference_mode")
    wanting = pixels.clone().requires_grad_()
    same(case.maps(case.specimen.build(), wanting), expected, _EXACT, "input that requires a gradient")
    hold(wanting.grad is None, "the input's own gradient was filled")


def s6_interleaved(case: Case) -> None:
    """Two explainers on one network, begun and ended in any order, give what each gives alone."""
    expected = case.fresh(target=0)
    network, pixels = case.specimen.build(), case.specimen.pixels()
    classifier, target = case.specimen.wrapped(network), Target.of(0)
    with left_as_found(network, pixels, "after two explainers"):
        one, other = Passes(classifier), Passes(classifier)
        one.__enter__()
        other.__enter__()
        found = [case.method(one, pixels, target)]
        one.__exit__(None, None, None)
        found.append(case.method(other, pixels, target))
        other.__exit__(None, None, None)
    for maps in found:
        same(maps.at_pixels(*pixels.shape[-2:]).numpy(), expected, _KERNELS, "interleaved")
    inner: list[bool] = []

    def in_the_middle(_done: int, _total: int) -> None:
        if not inner:
            inner.append(True)
            same(case.maps(network, pixels, target=0), expected, _KERNELS, "begun in the middle of another")

    same(case.maps(network, pixels, target=0, progress=in_the_middle), expected, _KERNELS, "with another in its middle")


def s7_threads(case: Case, threads: int = 4) -> None:
    """Several threads on one network, each held up in the middle of its passes, give what one gives."""
    expected, network, pixels = case.fresh(), case.specimen.build(), case.specimen.pixels()
    stall(leaves(network, pixels)[-1], seconds=0.001)
    with left_as_found(network, pixels, "after threads"), ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda _: case.maps(network, pixels), range(2 * threads)))
    for one in found:
        same(one, expected, _EXACT, "from a thread")


def _fails(
    case: Case,
    network: nn.Module,
    words: str,
    mend: Callable[[], None] = lambda: None,
    must_fail: bool | list[bool] = True,
) -> None:
    """Explain, expect the injected failure, and demand that nothing of it stays."""
    pixels, failed = case.specimen.pixels(), False
    with left_as_found(network, pixels, words):
        try:
            case.results(network, pixels)
        except (InjectedError, InjectedInterrupt):
            failed = True
    hold(failed or not must_fail, f"{words}: the failure was swallowed")
    mend()


def _live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
