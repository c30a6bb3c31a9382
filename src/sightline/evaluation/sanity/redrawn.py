"""A copy of a network whose parameters are drawn anew, layer by layer, and the order of the layers.

The user's own network is read and never written: drawing happens in a deep copy, from a generator of its own, by what
torch itself draws when such a layer is made:

    linear and convolutions   weight and bias even on ±1/√n, n = inputs of one output (He et al., 2015, with a = √5)
    normalisations            weight 1, bias 0, stored mean 0 and variance 1, as before any training
    embeddings                normal, mean 0, deviation 1
    attention (torch's own)   weights even by Glorot and Bengio, 2010, bias 0
    anything else             normal, with the mean and the deviation of the values that were there
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from sightline.errors import NotSupportedError
from sightline.models.survey import Survey

_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


def copy_of(network: nn.Module, name: str) -> nn.Module:
    """A deep copy.

    Raises:
        NotSupportedError: the network cannot be copied.
    """
    try:
        return copy.deepcopy(network)
    except (RuntimeError, TypeError, NotImplementedError, AttributeError) as error:
        # What torch says of tensors that belong to a graph, of handles and of locks.
        raise NotSupportedError(
            f"{name!r} cannot be copied ({str(error).splitlines()[0]:.120}), and its own parameters are never drawn "
            "anew: give a network that copy.deepcopy takes"
        ) from error


def from_the_top(network: nn.Module, survey: Survey) -> list[str]:
    """The modules with parameters of their own, the one nearest to the scores first.

    By the order in which they answered in one pass. A module that holds parameters besides others (a class token)
    counts as being before these; one whose parameters are used without calling it, as following its neighbour before.
    """
    ran = {seen.name: float(place) for place, seen in enumerate(survey.seen)}
    places, before = dict[str, float](), -1.0
    for name, module in network.named_modules():
        inside = [place for other, place in ran.items() if other.startswith(f"{name}." if name else "")]
        place = min(inside) - 0.5 if inside else ran.get(name, before + 0.25)
        before = ran.get(name, place)
        if any(parameter.is_floating_point() for parameter in module.parameters(recurse=False)):
            places[name] = place
    return sorted(places, key=lambda name: places[name], reverse=True)


@torch.no_grad()
def redraw(module: nn.Module, generator: torch.Generator) -> None:
    """Draw a module's own parameters, and forget what it stored."""
    own = {name: one for name, one in module.named_parameters(recurse=False) if one.is_floating_point()}
    if isinstance(module, _NormBase):
        module.reset_running_stats()
    if isinstance(module, nn.Linear | _ConvNd):
        inputs = nn.init._calculate_fan_in_and_fan_out(module.weight)[0]
    for name, parameter in own.items():
        drawn = torch.empty(parameter.shape)
        if isinstance(module, nn.Linear | _ConvNd):
            _fill_affine(drawn, name, inputs, generator)
        elif isinstance(module, _NORMS):
            drawn.fill_(float(name == "weight"))
        elif isinstance(module, nn.Embedding):
            drawn.normal_(generator=generator)
        elif isinstance(module, nn.MultiheadAttention):
            _fill_attention(drawn, generator)
        else:
            values = parameter.double()
            drawn.normal_(float(values.mean()), float(values.std(correction=0)), generator=generator)
        parameter.data.copy_(drawn)


def _fill_affine(drawn: torch.Tensor, name: str, inputs: int, generator: torch.Generator) -> None:
    if name == "weight":
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
    elif inputs:
        drawn.uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)


def _fill_attention(drawn: torch.Tensor, generator: torch.Generator) -> None:
    if drawn.ndim > 1:
        nn.init.xavier_uniform_(drawn, generator=generator)
    else:
        drawn.zero_()
