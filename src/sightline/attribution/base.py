"""What a method is, and what it gives.

A method is a frozen value whose fields are its hyper-parameters; calling it changes nothing in it. A method states only
its own idea in `attribute`; the final `__call__` does once what all need: the refusal by name, the quiet network,
bringing a coarse map to the picture, the checks of what came out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import Any, ClassVar, TypeAlias, final

import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.foreseen import Foreseen
from sightline.errors import NonFiniteError, NotSupportedError, TargetError
from sightline.models.classifier import Classifier
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.spec import Named
from sightline.types import Map, Pixels


class Needs(Enum):
    """What a network must offer for a method to be defined."""

    SCORES = "scores"
    GRADIENTS = "gradients"
    LAYER = "gradients and a layer on a grid"
    ATTENTION = "gradients and attention between tokens"


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a method guarantees and needs; the contract suite picks its checks by them.

    Attributes:
        family: the room it lives in.
        needs: what the network must offer.
        cost: passes for one picture, in words (F forward, B backward).
        paper: authors, title, venue, year.
        signed: whether the map has negative values (evidence against).
        complete: whether the map sums to a difference of scores.
        deterministic: whether the map does not depend on a seed.
        class_sensitive: whether another target gives another map.
        finds: whether the peak of the map lies on what speaks most for the class where many places do; of a method
            that does not weigh them against each other it is asked only where one place decides.
        linear: whether the map of k·score is k times the map, k > 0.
    """

    family: str
    needs: Needs
    cost: str
    paper: str
    signed: bool = True
    complete: bool = False
    deterministic: bool = True
    class_sensitive: bool = True
    finds: bool = True
    linear: bool = True


Cautions: TypeAlias = tuple[tuple[str, ...], ...]
"""Words for each picture of a batch."""


def where(holds: torch.Tensor, words: str) -> Cautions:
    """The words for the pictures of which something holds, bool `b`, and no word for the others."""
    return tuple((words,) if one else () for one in holds.tolist())


def merged(each: Iterable[Cautions]) -> Cautions:
    """What several maps of the same pictures must say, once each, picture by picture."""
    told = [cautions for cautions in each if cautions]
    return tuple(tuple(dict.fromkeys(chain(*of_one))) for of_one in zip(*told, strict=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class Maps:
    """What a method found, for every picture of a batch.

    Attributes:
        values: `b c h w` float32, signed: per channel at the pixels, or one channel at the pixels or on a layer's grid.
        layer: the layer that was looked at, if any.
        numbers: `b` each, such as the completeness error.
        arrays: `b …` each, such as the label map under occlusion.
        warnings: what the user must know of all these maps.
        cautions: what the user must know of single ones: one tuple a picture, or none at all.
    """

    values: torch.Tensor
    layer: str | None = None
    numbers: Mapping[str, torch.Tensor] = field(default_factory=dict)
    arrays: Mapping[str, torch.Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    cautions: Cautions = ()

    def at_pixels(self, height: int, width: int) -> Map:
        """The map, `b h w`: channels summed, a layer's grid enlarged bilinearly to the picture."""
        values = self.values.sum(1, keepdim=True).float()
        if values.shape[-2:] != (height, width):
            values = functional.interpolate(values, (height, width), mode="bilinear", align_corners=False)
        return values[:, 0]


@dataclass(frozen=True)
class Wants:
    """What a method will ask of the clean pass, so that one pass can serve all methods."""

    gradients: bool = False
    layers: tuple[str | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Method(Named):
    """A way to explain a score. Subclasses give `traits` and `attribute`, and are listed in the table."""

    traits: ClassVar[Traits]

    @abstractmethod
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        """The maps of a batch.

        Args:
            passes: where the network is asked.
            pixels: `b c h w`, prepared.
            target: the score to explain, one a picture.
        """

    def wants(self) -> Wants:
        """What this method will ask of the clean pass."""
        return Wants()

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        """The passes that `attribute` will ask for, for one picture `1 c h w`, found with few passes or none.

        Raises:
            NotSupportedError: this method does not tell.
        """
        raise NotSupportedError(f"{self.name} does not tell beforehand what it costs: plan without it")

    @final
    def __call__(
        self,
        model: Passes | Classifier | nn.Module | Callable[..., Any],
        pixels: Pixels,
        target: Target | int | Sequence[int],
    ) -> Maps:
        """The maps of a batch, checked.

        Args:
            model: where the network is asked; a classifier, a module or a function gets `Passes` of its own.
            pixels: `b c h w`, prepared.
            target: what to explain; a class index for all pictures, or one a picture.

        Raises:
            NotSupportedError: the network does not offer what the method needs.
            TargetError: not one target a picture.
            NonFiniteError: the map holds NaN or infinity.
        """
        passes = model if isinstance(model, Passes) else Passes(model)
        target = target if isinstance(target, Target) else Target.of(target, len(pixels))
        self.check(passes)
        if len(target) != len(pixels):
            raise TargetError(f"{len(target)} targets for {len(pixels)} pictures: give one a picture")
        # Inference mode is left: tensors made in it could not take part in a gradient.
        with passes, torch.inference_mode(False), passes.one_question():
            maps = self._attributed(passes, pixels, target)
        if not torch.isfinite(maps.values).all():
            raise NonFiniteError(f"{self} gave a map that is NaN or infinite{self._instead()}")
        return maps

    @property
    def begins_at(self) -> Any:
        """The baseline that a way begins at, of this method or of the one that it wraps; None where there is none."""
        return getattr(self, "baseline", None) or getattr(getattr(self, "of", None), "begins_at", None)

    def _instead(self, said: str = "gradient") -> str:
        """What to try where NaN or infinity came, as an error says it."""
        if (baseline := self.begins_at) is not None:
            return f"; it began at baseline={baseline}: try baseline={'mean' if str(baseline) == 'blur' else 'blur'}"
        none = "gradient" in said and self.traits.needs is not Needs.SCORES
        return "; use a method that needs no gradient, such as occlusion" if none else ""

    def _attributed(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        try:
            return self.attribute(passes, pixels, target)
        except NonFiniteError as error:
            raise NonFiniteError(f"{self}: {error}{self._instead(str(error))}") from error
        except TypeError as error:  # as torch says it of Apple's GPUs
            if passes.device.type != "mps" or "float64" not in str(error):
                raise
            raise NotSupportedError(
                f"{self.name} needs float64, which {passes.device} does not have: give device='cpu' (--device cpu)"
            ) from error

    def check(self, passes: Passes) -> None:
        """Refuse, by name, a network that does not offer what the method needs.

        Raises:
            NotSupportedError: with the reason and the way out.
        """
        classifier, needs = passes.classifier, self.traits.needs
        if needs is not Needs.SCORES and not classifier.gradients and classifier.forward_only:
            raise NotSupportedError(
                f"{self.name} needs {needs.value}, but {classifier.name!r} is forward-only: "
                f"{classifier.forward_only}; use a perturbation method such as occlusion"
            )
        if needs is not Needs.SCORES and not classifier.gradients:
            raise NotSupportedError(
                f"{self.name} needs {needs.value}, but {classifier.name!r} is forward-only (a function from pixels to "
                "scores): use a perturbation method such as occlusion, or give the nn.Module itself"
            )
        if needs in (Needs.LAYER, Needs.ATTENTION) and classifier.network is None:
            raise NotSupportedError(
                f"{self.name} needs a layer, but {classifier.name!r} is a function without layers: "
                "give the nn.Module itself, or use gradient methods"
            )
