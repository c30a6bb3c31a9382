"""Methods that go from a baseline to the picture show their way, so that IDGI can judge its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias, runtime_checkable

from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Stretch
from sightline.types import Pixels

See: TypeAlias = Callable[[Stretch], None]
Walk: TypeAlias = Callable[[See], None]
"""Goes one way from its first to its last picture, both ends included, and shows every stretch of it."""


@runtime_checkable
class Walks(Protocol):
    """A method with a way from a baseline to the picture."""

    def walks(self, passes: Passes, pixels: Pixels, target: Target) -> Iterator[Walk]:
        """The ways, one a draw of the baseline."""
