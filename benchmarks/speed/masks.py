"""Masks found by descent, eight pictures together, beside the authors' procedures, which take one picture at a time."""

from __future__ import annotations

from parity.injected import replaced
from parity.rows import quietly
from torchray.attribution.extremal_perturbation import extremal_perturbation

from parity import authors_cams, authors_masks
from speed.names import CONVOLUTIONAL
from speed.ours import BY_PROGRAMS, ours
from speed.races import Maps, Peer, Race, everywhere
from speed.subjects import Asked

ITERATIONS, SHARE = 800, 48
STEPS, POINTS, SHARE_OF_STEPS = 15, 20, 3


def torchray(asked: Asked, parts: int) -> Maps:
    """TorchRay's extremal_perturbation of the first picture; it freezes the network, which is undone."""
    needed = [parameter.requires_grad for parameter in asked.network.parameters()]
    try:
        found = quietly(extremal_perturbation, asked.network, asked.pixels[:1], asked.targets[0], max_iter=parts)
    finally:
        for parameter, before in zip(asked.network.parameters(), needed, strict=True):
            parameter.requires_grad_(before)
    return [found[0][0, 0].detach()]


def authors_i_gos(asked: Asked, parts: int) -> Maps:
    """The paper's procedure, written out for the parity table, of the first picture."""
    blurred = authors_cams.wide_blur(asked.pixels[:1])  # once, where the plain text has it anew for every pass
    with replaced((authors_masks, "wide_blur", lambda _pixels: blurred)):
        return [authors_masks.i_gos(asked.case, iterations=parts, points=POINTS).detach()]


RACES = [
    Race(
        key="extremal-perturbation",
        title="extremal perturbation, 800 iterations, 8 pictures",
        ours=ours("extremal-perturbation(iterations=PARTS)", runtime="openvino"),
        peers=[
            Peer(
                name="torchray",
                call="extremal_perturbation, one picture at a time",
                make=torchray,
                pictures=1,
                compare=False,
            )
        ],
        parts=ITERATIONS,
        share=SHARE,
        warm=1,
        quick=3,
        pictures=8,
        both=8 * ITERATIONS,
        repeats=1,
        targets=everywhere(2, 4),
        note=BY_PROGRAMS
        + "; after a share of the iterations the masks are not there yet and are not compared; the parity table does",
    ),
    Race(
        key="i-gos",
        title="I-GOS, 15 steps of 20 points, 8 pictures",
        ours=ours(
            f"i-gos(iterations=PARTS, points={POINTS}, noise=0, sparsity=0.01, smoothness=0.2, optimiser=line-search, "
            "judge=mask, lowering=false)",
            runtime="openvino",
        ),
        peers=[
            Peer(
                name="authors",
                call="the paper's procedure, one picture at a time",
                make=authors_i_gos,
                pictures=1,
                compare=False,
            )
        ],
        parts=STEPS,
        share=SHARE_OF_STEPS,
        quick=1,
        warm=1,
        pictures=8,
        forward=8 * STEPS,
        both=8 * STEPS * POINTS,
        repeats=1,
        targets=everywhere(2, 4),
        networks=CONVOLUTIONAL,
        note=BY_PROGRAMS
        + "; the line search adds forward passes, as many as each picture needs; the limit counts one a step, and the "
        "paper's procedure is timed on the first picture alone, so that the ratio is rough; after a share of the "
        "steps a mask may still be flat, so that the agreement says nothing yet",
    ),
]
