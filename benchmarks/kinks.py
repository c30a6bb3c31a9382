"""How far gradients at the pixels move when a network sums in another order: the figures of decision 14.

PYTHONPATH=benchmarks python benchmarks/kinks.py DATA WEIGHTS [PHOTOGRAPHS]

For each network and photograph, beside the network as it stands: the largest relative difference of the gradient with
channels last and with batch normalisation folded too, that of the network as it stands from float64, and the rank
agreement of bfloat16.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import torch
from parity.rows import apart, spearman
from parity.subjects import Data, case
from torch import nn
from torch.fx.experimental.optimization import fuse


def gradient(network: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """The score's gradient at the pixels, `1 3 h w`."""
    leaf = pixels.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    return torch.autograd.grad(network(leaf)[:, target].sum(), leaf)[0]


def main(data: str, weights: str, photographs: str = "10") -> None:
    """Print a line a photograph."""
    source = Data(Path(data), Path(weights))
    for name in ("ResNet-18", "ResNet-50"):
        for place in range(int(photographs)):
            one = case(source, name, place, int(photographs))
            network, pixels = one.network.eval(), one.pixels
            last = pixels.contiguous(memory_format=torch.channels_last)
            folded = fuse(copy.deepcopy(network)).to(memory_format=torch.channels_last)
            given = gradient(network, pixels, one.target)
            exact = gradient(copy.deepcopy(network).double(), pixels.double(), one.target).float()
            with torch.autocast("cpu", torch.bfloat16):
                half = gradient(folded, last, one.target)
            print(
                f"{name} {one.photograph}: channels last {apart(gradient(network, last, one.target), given):.1e}, "
                f"folded {apart(gradient(folded, last, one.target), given):.1e}, float64 {apart(given, exact):.1e}, "
                f"bfloat16's rank {spearman(half.sum(1), given.sum(1)):.3f}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
