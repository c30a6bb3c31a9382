"""The options that name a network and say how it is asked, and the network that they name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from sightline.cli.checks import read_labels
from sightline.cli.parser import above

if TYPE_CHECKING:
    from sightline.models.classifier import Classifier


def add_network(what: argparse._ArgumentGroup, target: str = "top (default), top3, an index, a name, A-vs-B") -> None:
    """The options that name the network and what it is asked."""
    what.add_argument("--model", default="demo", metavar="NAME", help="the network: `sightline models` (default: demo)")
    what.add_argument("--weights", metavar="FILE", help="take the weights from this file (.safetensors, .pt, .pth, …)")
    what.add_argument("--labels", metavar="FILE", help="class names, one a line, in the order of the scores")
    add_answer(what.add_argument)
    what.add_argument(
        "--preparation",
        metavar="LINE",
        help="as in 'resize 256, crop 224, rgb, mean 0.5, std 0.5' (default: the source's)",
    )
    what.add_argument("--trust", action="store_true", help="let code inside a Keras file run")
    what.add_argument("--target", default="top", metavar="T", help=target)


def add_answer(add: Callable[..., object]) -> None:
    """The options that say where in a network's answer the scores are, and what they mean."""
    add(
        "--head",
        default="auto",
        metavar="KIND",
        help="what the scores mean: softmax, sigmoid or binary (logits), probabilities, independent-probabilities or "
        "binary-probability (default: auto, found out)",
    )
    add("--output", metavar="O", help="which of several outputs holds the scores: a name, or a place from 0")
    add("--temperature", type=above(0), default=1.0, metavar="T", help="divide the logits by it (default: 1)")


def add_passes(how: argparse._ArgumentGroup) -> None:
    """The options that say where in the network to look, and how it is asked."""
    how.add_argument("--layer", metavar="L", help="where methods look that look at a layer (default: found)")
    how.add_argument("--precision", choices=("float32", "fast"), default="float32", help="fast: bfloat16")
    how.add_argument(
        "--runtime", choices=("auto", "eager", "openvino"), default="auto", help="eager: torch alone (default: auto)"
    )
    how.add_argument("--device", metavar="D", help="as torch names it: cpu, cuda, cuda:1, mps")


def classifier_of(arguments: argparse.Namespace) -> Classifier:
    """The classifier that `--model` and the options beside it name.

    Raises:
        ModelError: there is no such network, or what was given does not fit it.
        MissingExtraError: the library of its source is not installed.
    """
    from sightline.models.catalogue import load

    return load(
        arguments.model,
        weights=arguments.weights,
        labels=read_labels(arguments.labels),
        preparation=arguments.preparation,
        trust=arguments.trust,
        head=arguments.head,
        device=arguments.device,
        output=_output(arguments.output),
        temperature=arguments.temperature,
    )


def _output(word: str | None) -> str | int | None:
    """A number is a place."""
    return int(word) if word is not None and re.fullmatch(r"-?\d+", word) else word
