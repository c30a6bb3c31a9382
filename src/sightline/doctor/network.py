"""The network itself: is it asked as it was trained to be, does it answer the same twice, is it alive?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.func import functional_call

from sightline.doctor.findings import Finding, Verdict
from sightline.models.classifier import Classifier
from sightline.models.outputs import scores_of
from sightline.models.quiet import mixes_batch_mates
from sightline.passes.passes import Passes
from sightline.testing import check_classifier
from sightline.types import Pixels

SATURATED = 0.9999
BARELY = 0.01
"""Probabilities that differ by less over all pictures are almost alike."""
DEAD = 1e-6
"""Scores that differ by less, relative to the largest, are the same."""
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
        words=f"{len(left)} layers were left in training mode: {_some(left)}; Sightline asks in evaluation mode",
        advice="call network.eval() before you use the network elsewhere, or its answers will differ from these",
        numbers={"layers": len(left)},
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


def answers(passes: Passes, pixels: Pixels) -> Finding:
    """Scores that are all the same, or probabilities that nothing moves any more."""
    scores = passes.scores(pixels)
    each = passes.probabilities(scores)
    top, moved = each.amax(1), float((each.amax(0) - each.amin(0)).max())
    apart = float((scores.amax(0) - scores.amin(0)).max()) / max(1e-30, float(scores.abs().max()))
    classes = len(scores.argmax(1).unique())
    numbers = {"apart": apart, "mean_probability": float(top.mean()), "top_classes": float(classes)}
    check, advice = "the scores are alive", ""
    verdict: Verdict
    if apart < DEAD:
        rounded = "probabilities" in passes.head and float(top.min()) > SATURATED
        return Finding(
            check=check,
            verdict="wrong",
            words=f"all {len(pixels)} pictures get the same scores: whatever is shown, the network says the same",
            advice="its probabilities are 0 and 1 to the last digit: give the network without its softmax or sigmoid"
            if rounded
            else "check that the weights were loaded and that the preparation fits",
            numbers=numbers,
        )
    if float(top.min()) > SATURATED:
        verdict, advice = "care", "explain scores, not probabilities: occlusion(score=logit), gradients of the logits"
        words = f"every top probability is above {SATURATED:.2%}: hiding a part will hardly move it"
    elif moved < BARELY:
        verdict, advice = "care", "check that the weights are those of a trained network, and the preparation"
        words = f"the {len(pixels)} pictures are answered almost alike: no probability differs by more than {moved:.2%}"
    elif classes == 1 and len(pixels) >= 4:
        verdict, advice = "care", "check the preparation and the class names; give pictures of several classes"
        words = f"all {len(pixels)} pictures are taken for one class"
    else:
        kinds = "one class" if classes == 1 else f"{classes} classes"
        verdict, words = "ok", f"{kinds} for {len(pixels)} pictures, mean top probability {top.mean():.0%}"
    return Finding(check=check, verdict=verdict, words=words, advice=advice, numbers=numbers)


def gradients(passes: Passes, pixels: Pixels) -> Iterator[Finding]:
    """Whether gradients come through to the pixels, and layers that none reaches."""
    classifier = passes.classifier
    if classifier.network is None:
        yield Finding(check="gradients", verdict="not asked", words="this network is asked forward only")
        return
    slopes, dead = _slopes(classifier, classifier.network, pixels)
    numbers = {"largest": max(slopes), "smallest": min(slopes)}
    if not all(torch.isfinite(torch.tensor(slopes))):
        yield Finding(
            check="gradients at the pixels", verdict="wrong", words="they are NaN or infinite", advice="use occlusion"
        )
    elif min(slopes) == 0:
        yield Finding(
            check="gradients at the pixels",
            verdict="wrong",
            words=f"they are 0 everywhere for {sum(slope == 0 for slope in slopes)} of {len(pixels)} pictures",
            advice="something cuts them off (argmax, rounding, detach, a saturated activation): use occlusion or rise",
            numbers=numbers,
        )
    else:
        yield Finding(check="gradients at the pixels", verdict="ok", words="they come through", numbers=numbers)
    words = f"none reaches {_some(dead)} for any picture ({len(dead)} of the layers with parameters)"
    yield Finding(
        check="gradients at the layers",
        verdict="care" if dead else "ok",
        words=words if dead else "every layer with parameters gets some",
        advice="these layers do not act on the score (dead units, or a branch that is not used): do not explain there"
        if dead else "",
        numbers={"layers": len(dead)},
    )  # fmt: skip


def _slopes(classifier: Classifier, network: nn.Module, pixels: Pixels) -> tuple[list[float], list[str]]:
    """The largest gradient at the pixels of each picture, and layers whose parameters get none for any picture."""
    parameters = {name: one.detach().clone().requires_grad_() for name, one in network.named_parameters()}
    floating = {name: one for name, one in parameters.items() if one.is_floating_point()}
    alive: set[str] = set()
    slopes = []
    with Passes(classifier), torch.inference_mode(False), torch.enable_grad():
        for one in pixels.split(1):
            leaf = one.detach().clone().requires_grad_()
            scores = scores_of(functional_call(network, parameters, (leaf,)), 1)
            if not scores.requires_grad:
                slopes.append(0.0)
                continue
            found = torch.autograd.grad(scores.amax(), [leaf, *floating.values()], allow_unused=True)
            slopes.append(0.0 if found[0] is None else float(found[0].abs().max()))
            reached = (name for name, one in zip(floating, found[1:], strict=True) if one is not None and one.any())
            alive |= {name.rpartition(".")[0] for name in reached}
    layers = dict.fromkeys(name.rpartition(".")[0] for name in floating)
    return slopes, [layer or "the network" for layer in layers if layer not in alive]


def _acts(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether training mode changes what this layer answers."""
    return isinstance(module, kinds) and getattr(module, "p", 1) > 0


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
