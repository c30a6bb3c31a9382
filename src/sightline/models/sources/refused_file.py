"""Files that somebody may take for a network, and what to do with them instead. None is opened."""

from __future__ import annotations

from sightline.errors import ModelError
from sightline.models.files.place import existing
from sightline.models.sources.base import Asked
from sightline.models.weights import SUFFIXES

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill")


def load(asked: Asked) -> None:
    """Refuse the file, by what its suffix says it is.

    Raises:
        ModelError: always.
    """
    file = existing(asked.rest)
    suffix = file.suffix.lower()
    if suffix in _PICKLES:
        raise ModelError(
            f"{file} is a pickle, which is never opened, since that would run its code: load it yourself if you trust "
            "it, and give the object to sightline.wrap"
        )
    if suffix in SUFFIXES or suffix == ".ckpt":
        raise ModelError(
            f"{file} holds weights, no network: name the network with --model NAME and add --weights {file}"
        )
    raise ModelError(f"{file} holds arrays, no network: see `sightline models`")
