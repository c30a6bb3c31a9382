"""A linear layer as a network asked torch for it: what it makes of other inputs and other weights, and the way back.

Every rule of relevance propagation divides relevance by what it counts as contributions, and contributions are what the
layer makes of some inputs, some weights and some bias. So a rule is a few such terms (`layer_rules.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch

Kind: TypeAlias = Literal["convolution", "dense"]
Term: TypeAlias = "tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]"
"""What a layer is given, its weights and its bias, in place of its own."""

STABILISER = 1e-6
"""ε of rules that name none, as zennit's: added to what relevance is divided by, away from zero, in its root mean
square."""
_GUARD = {torch.float64: 1e-12}
"""Where a step has no rule, such as a mean or a sum, nothing but a division by zero is to be kept away: some thousand
times what rounding leaves of a sum that cancels out. In float32 `STABILISER` does so."""


@dataclass(frozen=True, eq=False)
class Affine:
    """output = weight · given + bias.

    Attributes:
        kind: what composites tell layers apart by.
        run: from what is given, weights and bias to the output.
        weight: its weights, folded with those of a batch normalisation that follows.
        bias: its bias, or none.
        channels: the axis of `weight` that the output's channels lie on, where there is one.
    """

    kind: Kind
    run: Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor | None
    channels: int | None = 0

    def folded(self, scale: torch.Tensor, shift: torch.Tensor) -> Affine:
        """This layer followed by scale · output + shift, both one a channel, as one layer."""
        assert self.channels is not None, "a layer without an axis of channels was folded"
        shape = [1] * self.weight.ndim
        shape[self.channels] = -1
        bias = shift if self.bias is None else self.bias * scale + shift
        return replace(self, weight=self.weight * scale.view(shape), bias=bias)

    def without_bias(self) -> Affine:
        """This layer as if it had no bias."""
        return replace(self, bias=None)

    def like(self, given: torch.Tensor) -> Affine:
        """This layer in the precision of what it is given."""
        bias = None if self.bias is None else self.bias.detach().to(given)
        return replace(self, weight=self.weight.detach().to(given), bias=bias)

    def output(self, term: Term) -> torch.Tensor:
        """What the layer makes of a term."""
        with torch.no_grad():
            return self.run(*term)

    def shared(
        self,
        relevance: torch.Tensor,
        terms: Sequence[Term],
        epsilon: float | None = STABILISER,
        *,
        relative: bool = True,
    ) -> torch.Tensor:
        """R_i = Σ_terms given_i · Σ_j weight_ij · R_j / z_j, with z the sum of what the layer makes of all terms.

        Args:
            relevance: R, at the layer's output.
            terms: what counts as contributions.
            epsilon: added to z, away from zero; as `stable` has it when none.
            relative: whether it counts in root mean squares of z.
        """
        outputs, leaves = [], []
        with torch.enable_grad():
            for given, weight, bias in terms:
                if bias is None and not given.any():
                    continue  # nothing below zero comes out of a ReLU: half of the work falls away
                leaves.append(given.detach().requires_grad_())
                outputs.append(self.run(leaves[-1], weight, bias))
        if not outputs:
            return torch.zeros_like(terms[0][0])
        total = torch.stack([output.detach() for output in outputs]).sum(0)
        shares = relevance / stable(total, epsilon, relative=relative)
        # Each term's transposed weights, from autograd: linear maps are their own derivative.
        found = torch.autograd.grad(outputs, leaves, [shares] * len(outputs))
        return torch.stack([leaf.detach() * back for leaf, back in zip(leaves, found, strict=True)]).sum(0)


def stable(divisor: torch.Tensor, epsilon: float | None = None, *, relative: bool = True) -> torch.Tensor:
    """A divisor, a picture a row, that is never zero: ε more where it is positive or zero, ε less where it is negative.

    Args:
        divisor: `b …`.
        epsilon: ε; when none what the divisor's precision needs, 1e-6 in float32 and 1e-12 in float64.
        relative: whether ε counts in root mean squares of the picture's divisors, so that a network whose activations
            are all a thousand times smaller is explained alike.
    """
    epsilon = _GUARD.get(divisor.dtype, STABILISER) if epsilon is None else epsilon
    added: torch.Tensor | float = epsilon
    if relative and divisor.numel():
        rows = divisor.flatten(1) if divisor.ndim > 1 else divisor[:, None]
        largest = rows.abs().amax(1, keepdim=True)
        scale = torch.where(largest > 0, largest, 1.0)
        size = scale * (rows / scale).square().mean(1, keepdim=True).sqrt()  # no square under- or overflows
        added = epsilon * torch.where(largest > 0, size, 1.0).view(-1, *[1] * (divisor.ndim - 1))
    return divisor + torch.where(divisor < 0, -1.0, 1.0).to(divisor) * added


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in at least single precision: shares of relevance are quotients of small differences."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
