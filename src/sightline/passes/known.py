"""What has been asked about one clean pass already, so that no method asks for it again."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch

from sightline.models.targets import Target

T = TypeVar("T")


class Known(Generic[T]):
    """Answers, by the place in the network and the target that they are about."""

    def __init__(self) -> None:
        self._answers: list[tuple[str | None, Target | None, T]] = []

    def find(self, place: str | None, target: Target | None) -> T | None:
        """The answer for this place and a target of the same value, if there is one."""
        return next((answer for at, other, answer in self._answers if at == place and alike(other, target)), None)

    def keep(self, place: str | None, target: Target | None, answer: T) -> None:
        """Keep an answer."""
        self._answers.append((place, target, answer))


def alike(one: Target | None, other: Target | None) -> bool:
    """Whether two targets are of one kind and hold the same; all that they hold, since a plug-in's may hold more."""
    if one is None or other is None or one is other:
        return one is other
    mine, its = vars(one), vars(other)
    return type(one) is type(other) and mine.keys() == its.keys() and all(_same(mine[name], its[name]) for name in mine)


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
    # What cannot say plainly that it is the same (an array says it number by number) is taken to be another.
    return one is other or (one == other) is True
