"""What is explained: the score of a class, of the strongest classes, or of one class against another.

| text | meaning |
|---|---|
| `top` | the class with the highest score, for each picture its own |
| `top3` | the three highest, one map each |
| `207` | the class with this index |
| `bull mastiff` | the class with this name; case, hyphens and underscores are forgiven |
| `cat-vs-dog` | why the one and not the other: score(cat) − score(dog) |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TypeAlias

import torch

from sightline.errors import NotSupportedError, TargetError, nearest, plain_word
from sightline.models.heads import Head, probabilities
from sightline.types import Scores

_FEW = 12  # class names in one line of an error

Labels: TypeAlias = tuple[str, ...] | None
Wanted: TypeAlias = "int | str | tuple[int | str, int | str]"


@dataclass(frozen=True, eq=False)
class Target:
    """The scalar that is explained, for each picture of a batch.

    Attributes:
        index: `b` int64, the class of each picture.
        against: `b` int64, the class it is compared with, or none.
    """

    index: torch.Tensor
    against: torch.Tensor | None = None

    @classmethod
    def of(cls, index: int | Sequence[int], pictures: int = 1, against: int | None = None) -> Target:
        """The same class for all pictures, or a class for each."""
        one = [index] * pictures if isinstance(index, int) else list(index)
        other = None if against is None else torch.full((len(one),), against)
        return cls(torch.tensor(one), other)

    @classmethod
    def join(cls, targets: list[Target]) -> Target:
        """One target for a batch from targets of its parts, all classes or all contrasts."""
        against = [target.against for target in targets if target.against is not None]
        return cls(torch.cat([target.index for target in targets]), torch.cat(against) if against else None)

    def __len__(self) -> int:
        return len(self.index)

    def score(self, scores: Scores) -> torch.Tensor:
        """The explained scalar of each picture, `b`: the class's score, or the difference of two."""
        own = self._column(scores, self.index)
        return own if self.against is None else own - self._column(scores, self.against)

    def probability(self, scores: Scores, head: Head) -> torch.Tensor:
        """The probability of the class, `b`; for a contrast, of the one class given that it is one of the two."""
        if self.against is None:
            return self._column(probabilities(scores, head), self.index)
        if head == "softmax":
            return self.score(scores).sigmoid()
        each = probabilities(scores, head)
        one, other = self._column(each, self.index), self._column(each, self.against)
        return one / (one + other).clamp_min(torch.finfo(scores.dtype).tiny)

    def tiled(self, times: int) -> Target:
        """The target of a batch that holds all pictures once, then all again, `times` times."""
        return Target(self.index.repeat(times), None if self.against is None else self.against.repeat(times))

    def rows(self, rows: slice | torch.Tensor) -> Target:
        """The target of some pictures of the batch, by place or as booleans."""
        return Target(self.index[rows], None if self.against is None else self.against[rows])

    @staticmethod
    def _column(scores: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < scores.shape[1]:
            wrong = next(int(one) for one in index if not 0 <= int(one) < scores.shape[1])
            raise TargetError(_out_of_range(wrong, scores.shape[1]))
        if index.is_inference():  # made in inference mode, it could not take part in a gradient
            index = index.clone()
        return scores.gather(1, index.to(scores.device)[:, None])[:, 0]


@dataclass(frozen=True, eq=False, kw_only=True)
class AgainstMixture(Target):
    """A class against several others at once: score_c − Σ_j w_j score_j.

    Attributes:
        weights: `b k` float32, the w of every class; they are constants.
    """

    weights: torch.Tensor

    @classmethod
    def similar(cls, target: Target, scores: Scores, classes: int, strength: float, *, likely: bool) -> AgainstMixture:
        """Against the classes whose scores lie nearest; for a contrast, against its other class alone.

        Args:
            target: the class of each picture.
            scores: `b k`, of the pictures.
            classes: how many others.
            strength: what the weights sum to.
            likely: whether the others are weighted by their probabilities, in place of alike.
        """
        index = target.index.to(scores.device)[:, None]
        if target.against is not None:
            others = target.against.to(scores.device)[:, None]
        else:
            apart = (scores - target.score(scores)[:, None]).abs().scatter(1, index, torch.inf)
            others = apart.topk(min(classes, scores.shape[1] - 1), dim=1, largest=False).indices
        shares = scores.gather(1, others).softmax(1) if likely else torch.ones_like(others, dtype=scores.dtype)
        weights = torch.zeros_like(scores).scatter(1, others, strength * shares / shares.sum(1, keepdim=True))
        return cls(target.index, weights=weights)

    def score(self, scores: Scores) -> torch.Tensor:
        return super().score(scores) - (scores * self.weights.to(scores)).sum(1)

    def probability(self, scores: Scores, head: Head) -> torch.Tensor:
        raise NotSupportedError(
            "a class against several others has no probability: use a method that explains logits, such as grad-cam"
        )

    def tiled(self, times: int) -> Target:
        return AgainstMixture(self.index.repeat(times), weights=self.weights.repeat(times, 1))

    def rows(self, rows: slice | torch.Tensor) -> Target:
        return AgainstMixture(self.index[rows], weights=self.weights[rows])


def resolve(wanted: Wanted, scores: Scores, labels: Labels) -> list[Target]:
    """The targets that a user's words mean for these pictures; several for `top3`, else one.

    Raises:
        TargetError: no such class, an ambiguous name, or an index out of range.
    """
    if isinstance(wanted, str) and (match := re.fullmatch(r"top[-_ ]?(\d*)", wanted.strip().lower())):
        return _strongest(int(match[1] or 1), scores)
    if isinstance(wanted, tuple) and len(wanted) != 2:
        raise TargetError(f"a contrast is two classes, got {len(wanted)}")
    one, other = wanted if isinstance(wanted, tuple) else _contrast(wanted, labels)
    index = class_index(one, labels, scores.shape[1])
    against = None if other is None else class_index(other, labels, scores.shape[1])
    if index == against:
        raise TargetError(f"a contrast needs two classes, got {one!r} twice")
    return [Target.of(index, len(scores), against)]


def check_known(wanted: Wanted, labels: Labels) -> None:
    """Refuse a class that the network does not have before any pass, where its classes are known.

    One label may stand for the two classes of a network with one output, which only a pass tells.

    Raises:
        TargetError: no such class, an ambiguous name, or an index out of range.
    """
    if labels and len(labels) > 1:
        resolve(wanted, torch.zeros(1, len(labels)), labels)


def class_index(wanted: int | str, labels: Labels, classes: int) -> int:
    """The index of a class given by index or name.

    Raises:
        TargetError: no such class, an ambiguous name, or an index out of range.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, Integral | str):
        raise TargetError(f"a target is a class index, a class name, top, top3 or A-vs-B, got {wanted!r}")
    if not isinstance(wanted, str) or re.fullmatch(r"[+-]?\d+", wanted.strip()):
        index = int(wanted)
        if not 0 <= index < classes:
            raise TargetError(_out_of_range(index, classes))
        return index
    if not labels:
        raise TargetError(f"this network has no class names, got {wanted!r}: give an index from 0 to {classes - 1}")
    if len(labels) != classes:
        raise TargetError(
            f"this network has {classes} scores and {len(labels)} class names: load it with labels that fit"
        )
    return _by_name(wanted, labels)


def _out_of_range(index: int, classes: int) -> str:
    return f"class index {index} is out of range: this network has classes 0 to {classes - 1}"


def _strongest(most: int, scores: Scores) -> list[Target]:
    if not 1 <= most <= scores.shape[1]:
        raise TargetError(f"top{most}: this network has {scores.shape[1]} classes")
    best = scores.topk(most, dim=1).indices.cpu()
    return [Target(best[:, rank]) for rank in range(most)]


def _contrast(wanted: int | str, labels: Labels) -> tuple[int | str, int | str | None]:
    parts = re.split(r"(?i)\s*-vs-\s*|\s+vs\.?\s+", wanted) if isinstance(wanted, str) else []
    whole_name = isinstance(wanted, str) and plain_word(wanted) in {plain_word(label) for label in labels or ()}
    return (parts[0], parts[1]) if len(parts) == 2 and not whole_name else (wanted, None)


def _by_name(wanted: str, labels: tuple[str, ...]) -> int:
    """Labels letter by letter first, then forgiving, then one of the names that a label lists (`tabby, tabby cat`)."""
    word = plain_word(wanted)
    found = [index for index, label in enumerate(labels) if label == wanted.strip()]
    if not found and word:
        found = [index for index, label in enumerate(labels) if plain_word(label) == word]
    if not found and word:
        found = [i for i, label in enumerate(labels) if word in {plain_word(part) for part in label.split(",")}]
    if len(found) == 1:
        return found[0]
    if found:
        some = " or ".join(map(str, found[:5])) + (" or …" if len(found) > 5 else "")
        raise TargetError(f"{wanted!r} names several classes: give the index, {some}")
    close = nearest(wanted, labels) or [label for label in labels if word and word in plain_word(label)][:3]
    if close:
        raise TargetError(f"this network has no class {wanted!r}: did you mean {' or '.join(map(repr, close))}?")
    known = ", ".join(labels[:_FEW]) + (", …" if len(labels) > _FEW else "")
    raise TargetError(f"this network has no class {wanted!r}: its {len(labels)} classes are {known}")
