"""What an examination found: one line a check, one line a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["ok", "care", "wrong", "not asked"]
Trust: TypeAlias = Literal["trust", "care", "do not trust", "unclear", "refused", "failed", "not asked"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check of the network.

    Attributes:
        check: what was looked at, in a few words.
        verdict: `ok`; `care`, something to know; `wrong`, explanations of it would mislead; `not asked`.
        words: what was found.
        advice: what to do; empty where nothing is to be done.
        numbers: what was measured.
    """

    check: str
    verdict: Verdict
    words: str
    advice: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MethodFinding:
    """One method on this network.

    Attributes:
        method: its text.
        trust: the answer; `unclear` where nothing could be measured, `not asked` where the network itself is wrong.
        words: why.
        advice: what to do; empty where nothing is to be done.
        ahead: spreads by which its maps are better than themselves moved elsewhere, the mean over the pictures.
        forgets: rank correlation with its map of networks that forgot their training; 1 is a map that did not change,
            and −1 one that was only turned round.
        alike: rank correlation with its map for another class.
        kept: statements of the contract that hold.
        broken: those that do not, with what was found.
        seconds: what trying it took.
    """

    method: str
    trust: Trust
    words: str
    advice: str = ""
    ahead: float | None = None
    forgets: float | None = None
    alike: float | None = None
    kept: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Examination:
    """All findings about one network."""

    model: str
    pictures: tuple[str, ...]
    findings: tuple[Finding, ...]
    methods: tuple[MethodFinding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with the network itself."""
        return all(finding.verdict != "wrong" for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "model": self.model,
            "pictures": list(self.pictures),
            "healthy": self.healthy,
            "findings": [{**vars(one), "numbers": dict(one.numbers)} for one in self.findings],
            "methods": [vars(one) for one in self.methods],
        }
