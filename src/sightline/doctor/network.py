"""The network itself: is it asked as it was trained to be, does it answer the same twice?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from sightline.doctor.findings import Finding
from sightline.models.classifier import Classifier, device_of, dtype_of
from sightline.models.quiet import mixes_batch_mates
from sightline.testing import check_classifier
from sightline.types import Pixels

_NAMED = 4
_CHECKS = {
    "scores": ("one finite row a picture", "explain the network that gives scores b × classes"),
    "repeats": (
        "the same answer twice",
        "the network draws random numbers even in evaluation mode: look for dropout called with training=True",
    ),
    "alone": (
        "the same alone and in a batch",
        "give batch normalisation its running statistics (track_running_stats=True, and train or load them)",
    ),
    "labels": ("one class name a score", "declare as many class names as there are scores"),
    "input": ("pixels are left alone", "do not use in-place operations on the input"),
}


def modes(classifier: Classifier) -> Finding:
    """Layers that were left in training mode: Sightline turns them off, other code that asks the network does not."""
    check = "evaluation mode"
    network = classifier.network
    if network is None:
        return Finding(check=check, verdict="not asked", words="a function has no layers to look at")
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    left = [
        name or "the network" for name, module in network.named_modules() if module.training and _acts(module, kinds)
    ]
    if not left:
        return Finding(check=check, verdict="ok", words="no dropout or batch normalisation was left in training mode")
    return Finding(
        check=check,
        verdict="care",
        words=f"{len(left)} layers were left in training mode: {some(left)}; Sightline asks in evaluation mode",
        advice="call network.eval() before you use the network elsewhere, or its answers will differ from these",
        numbers={"layers": len(left)},
    )


def numbers(classifier: Classifier) -> Iterator[Finding]:
    """Weights in float16, which a CPU is slow with, and in which small gradients are 0."""
    if classifier.network is None or dtype_of(classifier) != torch.float16:
        return
    slow = "slow, and " if device_of(classifier).type == "cpu" else ""
    yield Finding(
        check="its numbers",
        verdict="care",
        words=f"its weights are float16: {slow}numbers above 65 504 are lost, and gradients below 6e-8 are 0",
        advice="explain network.float(): the same weights in float32",
    )


def contract(classifier: Classifier, pixels: Pixels) -> Iterator[Finding]:
    """What must hold before anything can be explained."""
    cells = check_classifier(classifier, pixels, demand=False).cells
    random = any(cell.statement == "repeats" and cell.verdict == "wrong" for cell in cells)
    for cell in cells:
        words, advice = _CHECKS[cell.statement]
        wrong = cell.verdict == "wrong"
        if cell.statement == "alone" and wrong and random:
            yield Finding(check=words, verdict="not asked", words="its answers are random, which hides the rest")
            continue
        if cell.statement == "alone" and not wrong and mixes_batch_mates(classifier.network):
            said = "it normalises by the batch even in evaluation mode: Sightline asks it picture by picture"
            yield Finding(check=words, verdict="care", words=said, advice=advice)
            continue
        yield Finding(
            check=words, verdict="wrong" if wrong else "ok", words=cell.note or "holds", advice=advice if wrong else ""
        )


def _acts(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether training mode changes what this layer answers."""
    return isinstance(module, kinds) and getattr(module, "p", 1) > 0


def some(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
