"""Methods that may follow the network's own score or a probability of it, and what that makes of their traits."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from sightline.attribution.base import Method, Traits


class ByScore(Method):
    """A method with a field `score`; a subclass states its traits in `own`."""

    own: ClassVar[Traits]
    score: str  # no field yet: each subclass has its own words for it

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """The method's own, but nothing made of probabilities is linear in the network's score."""
        return replace(self.own, linear=self.own.linear and self.score in ("given", "logit"))
