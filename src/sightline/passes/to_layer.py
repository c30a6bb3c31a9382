"""Class activation maps: to the layer by a compiled program, and from the layer on by the network itself.

Such a map needs what a layer gives and, mostly, how the score changes with it. A program with two outputs, the layer
and the scores, runs the pictures. Then the network itself is run on one small picture of noise, and at the layer the
pictures' activations take the place of the noise's: what follows is the network's own code, with the graph that a
gradient needs, and nothing before it is kept.

That small pass is also the proof, each time, that the program still stands for the network: at the layer the noise must
give the very bits that it gave when the program was made (which tells of what lies outside of the modules, where no
fingerprint looks), and the scores behind the layer must be the program's.

It is done where a layer has no kink behind it (`models/smooth.py`), since there rounding moves a gradient by rounding
alone; and once as many pictures came as pay for the program, by the rule of `runtimes/held.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as replaced

import torch

from sightline.errors import SightlineError
from sightline.models.heads import two_sided
from sightline.models.taps import replace
from sightline.passes.clean import Clean
from sightline.passes.memory import MEMORY
from sightline.passes.runner import Runner
from sightline.passes.runtimes.held import Held, kept_for
from sightline.passes.runtimes.kept import agree, timed
from sightline.passes.runtimes.known_answer import noises
from sightline.passes.runtimes.openvino_program import Numbers, Program
from sightline.passes.runtimes.question import barred
from sightline.types import Pixels, Scores

_FEWEST = 4  # pictures at once below which the small pass costs what the program gains
_TOLERANCE: dict[Numbers, float] = {"f32": 3e-5, "bf16": 6e-2}  # of activations, in parts of the largest


def program_to(runner: Runner, given: Pixels, names: Sequence[str | None]) -> ToLayer | None:
    """What is kept of the one layer that is wanted; None where no program can serve, or so few pictures need none."""
    network, runtime = runner.network, runner.questions.runtime
    if network is None or len(names) != 1 or runtime == "eager" or (runtime == "auto" and len(given) < _FEWEST):
        return None
    (layer,) = names
    if layer is None or not MEMORY.smooth(network, given, names) or barred(runner.classifier, given) is not None:
        return None
    numbers: Numbers = "bf16" if runner.precision == "fast" else "f32"
    return kept_for(network, given, ToLayer(numbers, layer=layer), layer)


@dataclass(eq=False)
class ToLayer(Held[Program]):
    """What is known of one network and layer, for one size of picture.

    Attributes:
        layer: the name of the module.
        noise: a picture, `1 c h w`, as small as the network takes it.
        noted: what the layer gave for it when the program was made.
    """

    layer: str = ""
    noise: Pixels | None = None
    noted: torch.Tensor | None = None

    def look(self, runner: Runner, pixels: Pixels, given: Pixels) -> Clean | None:
        """A clean pass over pictures, `b c h w`; None where there is no program, or it stands for the network no more.

        Args:
            runner: where the network is called.
            pixels: as they were asked about.
            given: as the network is given them.
        """
        if self.program is None or runner.network is None:
            return None
        with suppress(RuntimeError, SightlineError):  # torch, which is asked next, says what is wrong
            found = self._both(runner, self.program, given) if self.stands(runner.network) else None
            if found is not None:
                graph, activations = found
                runner.counted(forward=len(given))
                runner.questions.by_program += len(given)
                runner.numbers.note("bfloat16" if self.numbers == "bf16" else "float32")
                return Clean(
                    pixels=pixels,
                    scores=graph.detach(),
                    graph=graph if graph.requires_grad else None,
                    captured={self.layer: activations},
                    ran=f"{self.words} to layer {self.layer}",
                )
        self.forget()
        return None

    def learn(self, runner: Runner, given: Pixels, clean: Clean) -> Clean:
        """The clean pass that torch gave over pictures; or, where that has made a program pay, the program's."""
        self.eager += len(given)
        forced, pace = runner.questions.runtime == "openvino", runner.questions.pace(given)
        pays = runner.network is not None and (forced or self.pays(runner.network, pace))
        if self.refusal is None and pays and self._made(runner, given, clean):
            with runner.uncounted():
                return self.look(runner, clean.pixels, given) or clean
        return clean if self.refusal is None else replaced(clean, ran=f"torch ({self.refusal})")

    def _made(self, runner: Runner, given: Pixels, clean: Clean) -> bool:
        """Whether a program could be made that gives what torch gave, and is faster."""
        forced, pace = runner.questions.runtime == "openvino", runner.questions.pace(given)

        def fault(program: Program) -> str | None:
            if not self._agrees(program, given, clean):
                return "the program's activations are not the network's"
            if not self._begun(runner, given, clean):
                return "what follows the layer cannot be run alone"
            own = min(timed(lambda some: self._scores(runner, program, some), given).pace for _ in range(2))
            slower = own > pace and not forced
            return f"it is not faster: {own * 1e3:.1f} against {pace * 1e3:.1f} ms a picture" if slower else None

        def program() -> Program:
            return Program(runner.classifier, given, self.numbers, self.layer)

        return self.trusted(runner.classifier, given, program, fault)

    def _scores(self, runner: Runner, program: Program, given: Pixels) -> Scores:
        found = self._both(runner, program, given)
        if found is None:
            raise ValueError("the program's scores are not the network's")
        return found[0]

    def _both(self, runner: Runner, program: Program, given: Pixels) -> tuple[Scores, torch.Tensor] | None:
        """The scores with their graph, and the activations where it begins; None where the network is another."""
        scores, activations = program.with_layer(given)
        activations.requires_grad_()
        assert self.noise is not None
        noted, graph = self._behind(runner, self.noise, activations)
        same = noted is not None and self.noted is not None and torch.equal(noted, self.noted)
        right = same and agree(graph.detach(), two_sided(scores, runner.head), self.numbers)
        return (graph, activations) if right else None

    def _behind(self, runner: Runner, noise: Pixels, activations: torch.Tensor) -> tuple[torch.Tensor | None, Scores]:
        """What the layer gives for the noise, and the scores with a graph from these activations in its place."""
        seen: list[torch.Tensor] = []

        def exchange(own: torch.Tensor) -> torch.Tensor:
            seen.append(own.detach().clone())
            return activations.clone()  # what comes next may work in place

        assert runner.network is not None
        with runner.uncounted(), torch.enable_grad(), replace(runner.network, self.layer, exchange):
            scores = runner.run(noise, rows=len(activations), layout="as given", exact=True)
        return (seen[0] if len(seen) == 1 else None), scores

    def _agrees(self, program: Program, given: Pixels, clean: Clean) -> bool:
        """Whether a program's activations are torch's."""
        own, found = clean.captured[self.layer].detach().float(), program.with_layer(given)[1]
        if own.shape != found.shape or not bool(torch.isfinite(found).all()):
            return False
        return bool((found - own).abs().max() <= _TOLERANCE[self.numbers] * own.abs().max())

    def _begun(self, runner: Runner, given: Pixels, clean: Clean) -> bool:
        """Whether some picture of noise serves: the smallest one behind which the network gives its own scores."""
        own = clean.captured[self.layer].detach().float().clone()
        for noise in noises(given):
            with suppress(SightlineError):  # too small for this network
                self.noise, (self.noted, scores) = noise, self._behind(runner, noise, own)
                sound = self.noted is not None and bool(torch.isfinite(self.noted).all())
                if sound and agree(scores.detach(), clean.scores, self.numbers):
                    return True
        return False
