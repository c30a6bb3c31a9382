"""What a contract found: a cell for every check of every network, never left blank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "refused", "wrong"]
_MARKS: dict[Verdict, str] = {"pass": "·", "refused": "r", "wrong": "X"}


class ContractError(AssertionError):
    """A method, metric or classifier does not keep the contract; the text says where and how."""


@dataclass(frozen=True)
class Cell:
    """One check on one network.

    Attributes:
        statement: the check's short name, such as `S1`.
        words: what must hold.
        network: the network, or `any` where the check brings its own.
        verdict: `pass`, `refused` (by name, with a reason), or `wrong`.
        note: the reason of a refusal, or what was wrong.
    """

    statement: str
    words: str
    network: str
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True)
class Report:
    """All cells of one subject; prints as a table."""

    subject: str
    cells: tuple[Cell, ...]

    @property
    def wrong(self) -> tuple[Cell, ...]:
        """The cells that must not be."""
        return tuple(cell for cell in self.cells if cell.verdict == "wrong")

    @property
    def refused(self) -> dict[str, str]:
        """Network → why it was refused."""
        return {cell.network: cell.note for cell in self.cells if cell.verdict == "refused"}

    def demand(self) -> Report:
        """The report itself.

        Raises:
            ContractError: a cell is wrong.
        """
        if self.wrong:
            lines = [f"{cell.statement} on {cell.network}: {cell.words} {cell.note}" for cell in self.wrong]
            raise ContractError(f"{self.subject} does not keep the contract:\n" + "\n".join(lines))
        return self

    def __str__(self) -> str:
        statements = list(dict.fromkeys(_group(cell) for cell in self.cells))
        networks = list(dict.fromkeys(cell.network for cell in self.cells))
        marks: dict[tuple[str, str], str] = {}
        for verdict, mark in _MARKS.items():  # the worst of a group of checks is shown
            marks |= {(cell.network, _group(cell)): mark for cell in self.cells if cell.verdict == verdict}
        widest = max((len(name) for name in networks), default=0)
        rows = [f"{self.subject}    · pass   r refused   X wrong", " " * widest + "  " + " ".join(statements)]
        for name in networks:
            row = (marks.get((name, statement), " ").center(len(statement)) for statement in statements)
            rows.append(f"{name:<{widest}}  " + " ".join(row))
        rows += [f"refused, {network}: {reason}" for network, reason in self.refused.items()]
        rows += [f"WRONG, {cell.statement} on {cell.network}: {cell.words} {cell.note}" for cell in self.wrong]
        return "\n".join(rows)


def _group(cell: Cell) -> str:
    """`S1` of `S1-registration`: the statement of docs and tables."""
    return cell.statement.partition("-")[0]
