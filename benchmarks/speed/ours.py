"""What Sightline is asked: methods as `explain` runs them, on prepared pixels, since other packages begin there too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from sightline.attribution.table import METHODS
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.passes.runtimes.question import Runtime
from speed.races import Make
from speed.subjects import Asked

BY_PROGRAMS = (
    "ours is asked with `runtime=openvino`, whose programs (some 10 s) are made in the untimed go; unasked they come "
    "after some 450 passes"
)
Specs = Callable[[int], Sequence[str]]


def explained(
    asked: Asked, specs: Sequence[str], precision: Precision, runtime: Runtime = "auto"
) -> list[torch.Tensor]:
    """The maps of all methods of all pictures, `c h w` each, from one clean pass, as `sightline.explain` makes them."""
    methods = [METHODS.make(spec.replace("LAYER", asked.layer)) for spec in specs]
    wants = [method.wants() for method in methods]
    target = Target.of(list(asked.targets), len(asked.pixels))
    with Passes(asked.classifier, precision=precision, runtime=runtime) as passes:
        layers = [passes.classifier.layer if name is None else name for want in wants for name in want.layers]
        gradients = any(want.gradients for want in wants)
        with passes.shared(asked.pixels, gradients=gradients, layers=layers):
            found = [method(passes, asked.pixels, target).values.detach().float() for method in methods]
    return [map for maps in found for map in maps]


def ours(*specs: str, runtime: Runtime = "auto") -> Callable[[str], Make]:
    """Methods by their texts, in which `LAYER` is the layer and `PARTS` the number of parts."""

    def at(precision: str) -> Make:
        chosen: Precision = "fast" if precision == "fast" else "float32"
        return lambda asked, parts: explained(
            asked, [spec.replace("PARTS", str(parts)) for spec in specs], chosen, runtime
        )

    return at
