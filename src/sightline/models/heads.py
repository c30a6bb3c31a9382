"""What a network's scores mean: logits of exclusive classes, of independent classes, one logit, or probabilities.

| head | the network gives | probability of a class |
|---|---|---|
| `softmax` | k logits, one class is true | softmax |
| `sigmoid` | k logits, each class true or not | sigmoid |
| `binary` | one logit z; read as the two scores (−z, z) | sigmoid |
| `probabilities` | k probabilities that sum to one | as given |
| `independent-probabilities` | k probabilities, each by itself | as given |
| `binary-probability` | one probability p; read as (1 − p, p) | as given |

A head is told from the last operation of the network's graph (past those that only reshape, average or clip), else from
the numbers, unless it is declared.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

import torch

from sightline.errors import ModelError, unknown
from sightline.types import Scores

Head: TypeAlias = Literal[
    "auto", "softmax", "sigmoid", "binary", "probabilities", "independent-probabilities", "binary-probability"
]
HEADS: tuple[str, ...] = get_args(Head)

# What may stand between the last real operation and the output without changing what the numbers mean: the names of
# autograd's nodes, all but `Backward0`. Averages and clips of probabilities are probabilities, those of logits logits.
_RESHAPING = (
    "View", "Squeeze", "Unsqueeze", "Select", "Slice", "Clone", "ToCopy", "Alias", "Transpose", "T", "Permute", "Cat",
    "Stack", "Reshape", "ReshapeAlias", "UnsafeView", "AsStrided", "Expand", "Flatten", "Unbind", "Split",
    "SplitWithSizes", "Index", "IndexSelect", "Mean", "Clamp", "ClampMin", "ClampMax",
)  # fmt: skip
_SIGMOIDS = ("Sigmoid", "Hardsigmoid")


def check_head(head: str) -> Head:
    """The head itself.

    Raises:
        ModelError: the word names no head.
    """
    if head not in HEADS:
        raise ModelError(unknown("head", head, HEADS))
    return head  # type: ignore[return-value]


def tell_head(raw: Scores, *, traced: bool) -> Head:
    """The head of a network, from scores as the network gave them.

    Args:
        raw: `b k`, with its graph where the network can be differentiated.
        traced: whether `raw` carries its graph.

    Raises:
        ModelError: one number a picture of a function without a graph, in [0, 1], may be a logit or a probability.
            (Several such numbers are read as logits, and every result says so.)
    """
    last = _last_operation(raw) if traced else ""
    values = raw.detach()
    in_unit = bool(((values >= -1e-6) & (values <= 1 + 1e-6)).all())
    one = raw.shape[1] == 1
    if last in _SIGMOIDS:
        return "binary-probability" if one else "independent-probabilities"
    if last == "Softmax":
        return "probabilities"
    sums_to_one = in_unit and not one and bool(((values.sum(1) - 1).abs() < 1e-4).all())
    if sums_to_one:
        return "probabilities"
    if one and in_unit and not traced:
        raise ModelError(
            "this function gives one number from 0 to 1 a picture, which may be a logit or a probability: "
            "declare head='binary' or head='binary-probability'"
        )
    return "binary" if one else "softmax"


def two_sided(raw: Scores, head: Head) -> Scores:
    """The scores with one column a class: one-output heads become two classes, "no" and "yes"."""
    if head == "binary":
        return torch.cat([-raw, raw], dim=1)
    if head == "binary-probability":
        return torch.cat([1 - raw, raw], dim=1)
    return raw


def probabilities(scores: Scores, head: Head) -> torch.Tensor:
    """`b k` probabilities of the classes, from two-sided scores."""
    if head == "softmax":
        return scores.softmax(dim=1)
    if head in ("sigmoid", "binary"):
        return scores.sigmoid()
    return scores


def gives_probabilities(head: Head) -> bool:
    """Whether the network's own output is already a probability (so that it has no logit)."""
    return head in ("probabilities", "independent-probabilities", "binary-probability")


def each_by_itself(head: str) -> bool:
    """Whether each class is true or not by itself, so that several may be, and none."""
    return head in ("sigmoid", "independent-probabilities")


def entropy(p: Scores, head: str) -> torch.Tensor:
    """Of probabilities `b k`: `b`, in nats; of all labels' answers together where each is true or not by itself."""

    def of(q: torch.Tensor) -> torch.Tensor:
        return -(q * q.clamp_min(1e-12).log()).sum(1)

    p = p.clamp(0, 1)
    return of(p) + of(1 - p) if each_by_itself(head) else of(p)


def _last_operation(raw: Scores) -> str:
    """The name of the operation that made the numbers, past those that do not change what they mean."""
    node = raw.grad_fn
    while node is not None:
        name = re.sub(r"Backward\d*$", "", node.name())
        if name not in _RESHAPING and not name.startswith("View"):
            return name
        node = node.next_functions[0][0] if node.next_functions else None
    return ""
