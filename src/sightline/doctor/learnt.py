"""Whether a network knows these pictures at all: where it does not, no map of it can be called right or wrong.

Each picture is held against itself with scrambled phases: a picture of nothing, with the same colours and the same
spectrum.

    moves    how far the answer to a picture lies from that to its scrambled self: half the sum of |Δp| over classes
             that exclude each other, the largest |Δp| of labels by themselves; the mean over the pictures
    tells    what the answer tells of which picture it was: entropy of the mean answer − mean entropy, in nats

A network hardly answers these pictures where both are below 0.2. Untrained networks of thirteen architectures
(torchvision and timm, on twelve photographs) have 0.14 and less of both, trained ones 0.27 and more of `moves`, and
those that see colours alone, which scrambling keeps, more of `tells` as long as the pictures are of several classes.
The threshold is ours.
"""

from __future__ import annotations

import torch

from sightline.doctor.findings import Finding
from sightline.models.heads import each_by_itself, entropy
from sightline.passes.passes import Passes
from sightline.types import Pixels

KNOWS = "what it knows of these pictures"
LEAST = 0.2
_SEED = 0


def knowledge(passes: Passes, pixels: Pixels) -> Finding:
    """Whether the network answers these pictures otherwise than pictures of nothing, or tells them apart."""
    real, scrambled = (passes.probabilities(passes.scores(given)) for given in (pixels, without_form(pixels)))
    away = (real - scrambled).abs()
    moves = float((away.amax(1) if each_by_itself(passes.head) else away.sum(1) / 2).mean())
    tells = float(entropy(real.mean(0, keepdim=True), passes.head) - entropy(real, passes.head).mean())
    words = f"the answer to a picture lies {moves:.0%} from that to the same picture with scrambled phases, on average"
    numbers = {"moves": moves, "tells": tells}
    if moves >= LEAST or tells >= LEAST:
        return Finding(check=KNOWS, verdict="ok", words=words, numbers=numbers)
    return Finding(
        check=KNOWS,
        verdict="care",
        words=f"{words}, and hardly tells which one it was: the network has learnt nothing, knows nothing of these, or "
        "learnt from pictures that were prepared otherwise",
        advice="load the trained weights, check the preparation, or give photographs of its classes; until then "
        "nothing can be concluded about the worth of a method on it",
        numbers=numbers,
    )


def without_form(pixels: Pixels) -> Pixels:
    """Pictures `b c h w` with the phases of noise, the same in all channels, in their own range of values."""
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.fft.rfft2(torch.randn(pixels.shape[-2:], generator=generator)).to(pixels.device)
    phases = noise / noise.abs().clamp_min(1e-12)
    phases[0, 0] = 1  # the mean colour stays
    drawn = torch.fft.irfft2(torch.fft.rfft2(pixels.float()) * phases, s=pixels.shape[-2:])
    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    return drawn.to(pixels.dtype).clamp(low, high)
