"""The contract that every method keeps on every network, for methods of this package and of plug-ins.

A cell of the table is `pass` or `refused` with a reason, never `wrong`. Where a method refuses a network, the network
must still be left as it was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sightline.attribution.base import Method
from sightline.attribution.table import METHODS
from sightline.testing import evidence_checks as evidence
from sightline.testing import map_checks as maps
from sightline.testing import state_checks as states
from sightline.testing.case import REFUSALS, Case
from sightline.testing.networks import Specimen, networks
from sightline.testing.report import Cell, Report

ON_EVERY_NETWORK: tuple[Callable[[Case], None], ...] = (
    states.s1_registration,
    states.s1_passes,
    states.s1_ending,
    states.s2_memory,
    states.s3_evaluation,
    states.s4_own_train,
    states.s5_caller,
    states.s6_interleaved,
    states.s7_threads,
    maps.m1_twin,
    maps.m5_layers,
    maps.m8_batch,
    maps.m9_target,
    maps.n1_flat,
    maps.n2_scale,
    maps.n3_one_signed,
    maps.c1_complete,
    maps.p1_counted,
)
"""Checks of a method on a network that it does not refuse."""

ALSO_WHERE_REFUSED: tuple[Callable[[Case], None], ...] = (states.s3_as_found,)

WITH_OWN_NETWORKS: tuple[Callable[[Method], None], ...] = (
    evidence.m6_tokens,
    evidence.m7_places,
    evidence.m9_class_sensitive,
    evidence.m11_colours,
    evidence.n3_against,
    evidence.n5_not_finite,
    evidence.n5_message,
    evidence.n5_gradients,
    evidence.r1_seeds,
)
"""Checks that bring networks whose right answer is known."""


def check_method(
    method: Method | str,
    specimens: Sequence[Specimen] | None = None,
    *,
    own_networks: bool = True,
    calls: int = 25,
    demand: bool = True,
) -> Report:
    """Hold a method to the contract.

    Args:
        method: a value or its text; give it cheap fields, since it is run some hundred times on each network.
        specimens: the networks; by default `networks()`.
        own_networks: whether the checks that bring networks of their own are made.
        calls: how often it is called to see that no tensor stays alive.
        demand: whether to raise where a cell is wrong.

    Returns:
        the report, which prints as a table.

    Raises:
        ContractError: a cell is wrong.
    """
    value = METHODS.make(method)
    cells: list[Cell] = []
    for specimen in networks() if specimens is None else specimens:
        cells += _on(Case(value, specimen), calls)
    if own_networks:
        cells += [_own(check, value) for check in WITH_OWN_NETWORKS]
    report = Report(str(value), tuple(cells))
    return report.demand() if demand else report


def _on(case: Case, calls: int) -> list[Cell]:
    cells = [_cell(check, case.specimen.name, case) for check in ALSO_WHERE_REFUSED]
    try:
        case.fresh()
    except REFUSALS as refusal:
        return cells + [_refused(check, case.specimen.name, refusal) for check in ON_EVERY_NETWORK]
    except Exception:
        pass  # whatever it is, the checks below meet it again and say so
    for check in ON_EVERY_NETWORK:
        extra = {"calls": calls} if check is states.s2_memory else {}
        cells.append(_cell(check, case.specimen.name, case, **extra))
    return cells


def _own(check: Callable[[Method], None], method: Method) -> Cell:
    """A check with networks of its own, which a method may refuse."""
    try:
        check(method)
    except REFUSALS as refusal:
        return _refused(check, "networks of its own", refusal)
    except Exception:
        pass  # met again below
    return _cell(check, "networks of its own", method)


def _cell(check: Callable[..., None], network: str, subject: Any, **extra: Any) -> Cell:
    """One check of a method that takes this network: a refusal now would be one that depends on the moment."""
    words = (check.__doc__ or "").strip()
    try:
        check(subject, **extra)
    except Exception as error:  # whatever it is, it is a wrong cell
        return Cell(_statement(check), words, network, "wrong", f"{type(error).__name__}: {error}")
    return Cell(_statement(check), words, network, "pass")


def _refused(check: Callable[..., None], network: str, refusal: Exception) -> Cell:
    return Cell(_statement(check), (check.__doc__ or "").strip(), network, "refused", str(refusal))


def _statement(check: Callable[..., None]) -> str:
    """`s1_registration` is S1-registration."""
    letter, _, rest = check.__name__.partition("_")
    return f"{letter.upper()}-{rest.replace('_', '-')}"
