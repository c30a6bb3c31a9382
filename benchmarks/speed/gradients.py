"""Gradients at the pixels beside captum, zennit and PAIR saliency."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import captum.attr
import numpy as np
import torch
from parity.captum_asks import attribute
from parity.injected import noise_of, replaced
from parity.saliency_rows import answers, mask, picture
from saliency import core as saliency
from zennit import attribution as zennit

from speed.ours import BY_PROGRAMS, ours
from speed.races import Make, Maps, Peer, Race, everywhere
from speed.subjects import Asked

AT_ONCE = 16
"""Pictures a batch: here throughput is flat from some 8 pictures on."""
SMOOTH = "smooth-grad(samples=PARTS, seed=3)"
ENOUGH = 0.01
LADDER = (8, 16, 32, 64, 128, 256, 512, 1024)


def captum_integrated(asked: Asked, parts: int) -> Maps:
    """captum's IntegratedGradients by Gauss and Legendre, as by default, in batches."""
    ask = attribute("IntegratedGradients", n_steps=parts, internal_batch_size=AT_ONCE)
    return [ask(asked.case).detach()]


def of_zennit(name: str, **options: Any) -> Make:
    """zennit's attributors, which run one picture after another."""

    def make(asked: Asked, parts: int) -> Maps:
        chosen = torch.eye(1000)[[asked.targets[0]]]
        with getattr(zennit, name)(model=asked.network, n_iter=parts, **options) as attributor:
            return [attributor(asked.pixels.clone(), chosen)[1][0].detach()]

    return make


def pair_integrated(asked: Asked, parts: int) -> Maps:
    """saliency's IntegratedGradients: arrays, in batches."""
    return [mask("IntegratedGradients", asked.case, x_steps=parts, batch_size=AT_ONCE).float()]


def captum_smooth(asked: Asked, parts: int) -> Maps:
    """captum's NoiseTunnel over signed gradients in batches, with our noise."""
    noise = iter(torch.split(noise_of(SMOOTH.replace("PARTS", str(parts)), asked.pixels), AT_ONCE))
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(asked.network))
    with replaced((torch, "normal", lambda *_given: next(noise))):
        found = tunnel.attribute(
            asked.pixels,
            nt_type="smoothgrad",
            nt_samples=parts,
            nt_samples_batch_size=AT_ONCE,
            target=asked.targets[0],
            abs=False,
        )
    return [found[0].detach()]


def pair_smooth(asked: Asked, parts: int) -> Maps:
    """saliency's GetSmoothedMask, one copy after another, with our noise."""
    noise = iter(noise_of(SMOOTH.replace("PARTS", str(parts)), asked.pixels))
    with replaced((np.random, "normal", lambda *_given: picture(next(noise)[None]))):
        found = saliency.GradientSaliency().GetSmoothedMask(
            picture(asked.pixels), answers(asked.case), nsamples=parts, magnitude=False
        )
    return [torch.from_numpy(np.asarray(found)).permute(2, 0, 1).float()]


class Doubled:
    """Integrated gradients of each picture by 8, 16, 32, … steps until at most 1 % of the difference is missing.

    How many are enough is not known before: every try is made while the clock runs.
    """

    def __init__(self, make: Make) -> None:
        self.make = make

    def __call__(self, asked: Asked, _parts: int) -> Maps:
        """The maps.

        Raises:
            ValueError: too much is missing even with the most steps.
        """
        return [self._of_one(one) for one in asked.one_by_one()]

    def _of_one(self, asked: Asked) -> torch.Tensor:
        whole = _difference(asked)
        for steps in LADDER:
            found = self.make(asked, steps)[0]
            if _is_enough(found, whole):
                return found
        raise ValueError(f"more than 1 % of the difference of scores is missing after {LADDER[-1]} steps")


def _difference(asked: Asked) -> float:
    """By how much the score of the one picture exceeds that of black."""
    with torch.no_grad():
        ends = asked.network(torch.cat([asked.pixels, asked.pixels * 0]))[:, asked.targets[0]]
    return float(ends[0] - ends[1])


def _is_enough(found: torch.Tensor, whole: float) -> bool:
    return abs(float(found.double().sum()) - whole) <= ENOUGH * abs(whole)


def adaptive(precision: str) -> Make:
    """Ours, which stops by itself and tells what is missing; that this is true is looked at in the untimed go.

    Raises:
        ValueError: too much is missing.
    """
    seen: set[str] = set()
    make = ours(f"integrated-gradients(rule=adaptive, steps={LADDER[-1]}, baseline=mean)", runtime="openvino")(
        precision
    )

    def checked(asked: Asked, parts: int) -> Maps:
        each = asked.one_by_one()
        found = [make(one, parts)[0] for one in each]
        if asked.subject not in seen:
            if not all(_is_enough(map, _difference(one)) for map, one in zip(found, each, strict=True)):
                raise ValueError("more than 1 % of the difference of scores is missing")
            seen.add(asked.subject)
        return found

    return checked


INTEGRATED = "integrated-gradients(steps=PARTS, baseline=mean)"
BITS = "; float32 keeps torch's own bits until programs are asked for: the row of that name"
_INTEGRATED = Race(
    key="integrated-gradients",
    title="integrated gradients, 32 steps",
    ours=ours(INTEGRATED, runtime="openvino"),
    peers=[
        Peer(
            name="captum",
            call=f"IntegratedGradients(n_steps=32, internal_batch_size={AT_ONCE})",
            make=captum_integrated,
        ),
        Peer(name="zennit", call="IntegratedGradients(n_iter=32)", make=of_zennit("IntegratedGradients")),
        Peer(name="saliency", call=f"IntegratedGradients(x_steps=32, batch_size={AT_ONCE})", make=pair_integrated),
    ],
    parts=32,
    quick=8,
    forward=2,
    both=32,
    targets=everywhere(1.7, 3),
    note=BY_PROGRAMS + BITS,
)
RACES = [
    _INTEGRATED,
    replace(
        _INTEGRATED,
        key="integrated-gradients-bits",
        title="integrated gradients, 32 steps, with torch's own bits",
        ours=ours(INTEGRATED),
        peers=_INTEGRATED.peers[:2],
        targets={},
        networks=("ResNet-50", "ResNet-18"),
        note="asked with the default `runtime=auto`: no map moves by more than rounding; fast is asked for beside it",
    ),
    Race(
        key="completeness",
        title="integrated gradients until 1 % is missing, 2 pictures",
        ours=adaptive,
        peers=[
            Peer(
                name="captum", call="IntegratedGradients, steps doubled until enough", make=Doubled(captum_integrated)
            ),
        ],
        pictures=2,
        targets=everywhere(5, 5),
        networks=("ResNet-50",),
        note=BY_PROGRAMS
        + BITS
        + "; ours is `rule=adaptive`, which places its points and stops by itself; others begin with 8 steps and "
        "double them until it is enough, as nobody knows the number before, and all tries count: the last one alone "
        "takes some two thirds of the time; packages that place their points evenly need more and are left out",
    ),
    Race(
        key="smooth-grad",
        title="SmoothGrad, 32 samples",
        ours=ours(SMOOTH, runtime="openvino"),
        peers=[
            Peer(
                name="captum",
                call=f"NoiseTunnel(Saliency, nt_samples=32, nt_samples_batch_size={AT_ONCE})",
                make=captum_smooth,
            ),
            Peer(
                name="zennit",
                call="SmoothGrad(noise_level=0.15, n_iter=32)",
                make=of_zennit("SmoothGrad", noise_level=0.15),
                compare=False,
            ),
            Peer(name="saliency", call="GetSmoothedMask(nsamples=32)", make=pair_smooth),
        ],
        parts=32,
        quick=8,
        both=32,
        targets=everywhere(1.7, 3),
        note=BY_PROGRAMS + BITS,
    ),
]
