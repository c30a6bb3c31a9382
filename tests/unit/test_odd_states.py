"""Networks in odd states: the map is that of the plain network, and the network is left as it was.

The contract (`sightline.testing`) holds every method to S3 (training mode, dropout, batch normalisation, hooks), S4
(overridden `train` and `eval`), S5 (frozen, `no_grad`, `inference_mode`), S6 and S7 (two explainers, threads). Here are
the wrappers (S8, S9) and the precisions (M12), one method of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.testing import state_checks
from sightline.testing.case import Case, left_as_found
from sightline.testing.contract import METHODS, ON_EVERY_NETWORK
from sightline.testing.networks import Plain, Residual, Tokens, networks, plain_with_statistics, seeded

PIXELS = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
EVERY = ["gradient", "integrated-gradients(steps=4)", "guided-backpropagation", "grad-cam", "lrp", "score-cam",
         "occlusion(window=6, stride=3)", "meaningful-perturbation(iterations=3, size=8)"]  # fmt: skip
MAKES: dict[str, Callable[[], nn.Module]] = {
    "statistics": plain_with_statistics, "residual": Residual, "tokens": lambda: Tokens(0),
}  # fmt: skip


def maps(network: object, methods: list[str], pixels: torch.Tensor = PIXELS) -> np.ndarray:
    return np.stack([one.map for one in sightline.explain(network, list(pixels), methods, target=1)])


def methods_of(make: str) -> list[str]:
    not_for_tokens = ("guided-backpropagation", "lrp")
    return [one for one in EVERY if make != "tokens" or one not in not_for_tokens]


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert np.median(np.abs(expected).max((1, 2))) > 1e-4
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max() + 1e-7


class Around(nn.Module):
    """A network with another, maybe wrapped, in its middle."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(x)
        return scores


def compiled_in_place(network: nn.Module) -> nn.Module:
    network.compile(backend="eager")
    return network


WRAPPINGS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "data parallel": nn.DataParallel,
    "data parallel in the middle": lambda network: Around(nn.DataParallel(network)),
    "compiled": lambda network: torch.compile(network, backend="eager"),
    "compiled data parallel": lambda network: torch.compile(nn.DataParallel(network), backend="eager"),
    "compiled in place": compiled_in_place,
    "compiled in the middle": lambda network: Around(torch.compile(network, backend="eager")),
    "compiled twice": lambda network: torch.compile(Around(torch.compile(network, backend="eager")), backend="eager"),
}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_s8_s9_wrapped_networks_are_explained_as_they_are(wrapping: str, make: str) -> None:
    methods = methods_of(make)
    expected = maps(seeded(MAKES[make])(), methods)
    wrapped = WRAPPINGS[wrapping](seeded(MAKES[make])().eval())
    with torch.no_grad():
        wrapped(PIXELS)  # compiled before hooks come
    with left_as_found(wrapped, PIXELS, wrapping):
        found = maps(wrapped, methods)
    close(found, expected, 1e-5)


def test_s9_a_compiled_network_answers_as_compiled_again_afterwards() -> None:
    calls = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable:
        calls.append(graph)
        return graph.forward

    network = torch.compile(seeded(Plain)(), backend=backend)
    network(PIXELS)
    before = len(calls)
    assert before
    sightline.explain(network, PIXELS[0], ["grad-cam", "gradient"])
    assert len(calls) == before  # nothing was compiled while it was explained
    with torch.no_grad():
        network(PIXELS)
    assert len(calls) > before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", MAKES)
def test_m12_half_precision_gives_float32_maps_like_those_of_float32(make: str, dtype: torch.dtype) -> None:
    from sightline.evaluation.similarity import similarity

    methods = ["integrated-gradients(steps=4)", "grad-cam", "occlusion(window=6, stride=3)"]
    pixels = PIXELS.to(dtype).float()
    expected = maps(seeded(MAKES[make])(), methods, pixels)
    network = seeded(MAKES[make])().to(dtype)
    with left_as_found(network, pixels, str(dtype)):
        found = maps(network, methods, pixels)
    assert found.dtype == np.float32
    # Eight bits put values on other sides of a ReLU: what real networks reach stands in docs/networks.md.
    least = 0.99 if dtype is torch.float16 else 0.95
    for one, other in zip(found, expected, strict=True):
        assert similarity(one, other, "spearman") >= least


STATES = (state_checks.s3_as_found, state_checks.s3_evaluation, state_checks.s4_own_train, state_checks.s5_caller,
          state_checks.s6_interleaved, state_checks.s7_threads)  # fmt: skip


def test_s3_to_s7_are_in_the_contract_of_every_method() -> None:
    assert {check.__name__ for check in STATES[1:]} <= {check.__name__ for check in ON_EVERY_NETWORK}
    names = {specimen.name for specimen in networks()}
    assert {"batch norm and dropout", "overridden train", "batch statistics"} <= names


@pytest.mark.parametrize("check", STATES, ids=lambda check: check.__name__)
@pytest.mark.parametrize("method", ["gradient", "grad-cam", "occlusion(window=6, stride=5)"])
def test_s3_to_s7_hold(check: Callable[[Case], None], method: str) -> None:
    for specimen in networks():
        if specimen.name in ("batch norm and dropout", "overridden train"):
            check(Case(METHODS.make(method), specimen))


@contextmanager
def _under(mode: str) -> Iterator[None]:
    with torch.no_grad() if mode == "no_grad" else torch.inference_mode():
        yield


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_a_network_made_and_asked_under_a_mode(mode: str) -> None:
    expected = maps(seeded(plain_with_statistics)(), EVERY)
    with _under(mode):
        network = seeded(plain_with_statistics)()
        found = maps(network, EVERY)
    close(found, expected, 1e-6)
    close(maps(network, EVERY), expected, 1e-6)


def test_threads_on_one_wrapped_network() -> None:
    expected = maps(seeded(Residual)(), ["grad-cam", "gradient"])
    network = torch.compile(nn.DataParallel(seeded(Residual)()), backend="eager")
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: maps(network, ["grad-cam", "gradient"]), range(8)):
            close(found, expected, 1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_s8_another_device() -> None:
    network = seeded(Residual)()
    expected = maps(network, EVERY)
    close(maps(network.cuda(), EVERY), expected, 1e-3)
    found = sightline.explain(seeded(Residual)(), PIXELS[0], "gradient", target=1, device="cuda")
    close(found.map[None], expected[:1], 1e-3)


def test_s8_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(sightline.errors.UsageError, match="no device"):
        sightline.explain(seeded(Plain)(), PIXELS[0], "gradient", device="cuda:77")
