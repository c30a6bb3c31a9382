"""Keras 3 on the torch backend: `.keras` and `.h5` files, and the networks of `keras.applications`.

A Keras file is treated as code. It is read with `safe_mode`, and only by a Keras without known ways round that; a file
that names code of its own (a lambda layer, a torch module, a saved TensorFlow graph) is refused by name before it is
read, unless it is trusted by `trust=True`. TensorFlow is not needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.errors import MissingExtraError, ModelError, unknown
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier
from sightline.models.from_keras.files import SUFFIXES, check_file, classes_in, load_keras_weights, model_from
from sightline.models.from_keras.network import check_backend, network_of
from sightline.models.from_keras.preprocessing import preparation_of
from sightline.models.sources.base import Asked, classifier_from, first_line, import_extra, installed, no_download

LEAST = (3, 15, 1)
"""Keras before this can be made to run code by a file, or to read files elsewhere, in spite of `safe_mode`:
CVE-2025-1550, CVE-2025-8747, CVE-2025-9905, CVE-2025-9906, CVE-2025-49655, CVE-2026-1462 and others."""
_LEADING = ("Rescaling", "Normalization")


def load(asked: Asked) -> Classifier:
    """The model in a file, or the application of this name with its own weights or those of a file.

    Raises:
        MissingExtraError: Keras is not installed.
        ModelError: Keras runs on another backend or is too old, no such application or file, a file with code of its
            own, or weights that do not fit or cannot be had.
    """
    keras = import_keras(f"the network {asked.name}")
    if Path(asked.rest).suffix.lower() in SUFFIXES:
        return of_model(asked, model_from(keras, Path(asked.rest).expanduser(), trust=asked.trust))
    return _application(keras, asked)


def import_keras(purpose: str) -> Any:
    """Keras, on torch.

    Raises:
        MissingExtraError: it is not installed.
        ModelError: it runs on another backend already, or is too old to be given a file.
    """
    if not installed("keras"):
        raise MissingExtraError("keras", "keras", purpose)
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "torch"
    keras = import_extra("keras", "keras", purpose)
    check_backend()
    version = tuple(int(part) for part in keras.__version__.split(".")[:3] if part.isdigit())
    if version < LEAST:
        raise ModelError(
            f"Keras {keras.__version__} can be made to run code by a file: pip install "
            f"'keras>={'.'.join(map(str, LEAST))}'"
        )
    return keras


def of_model(asked: Asked, model: Any) -> Classifier:
    """The classifier of a Keras model; without a preparation of the user's, the size and channels of its input."""
    network, head, notes = network_of(model, head=asked.head)
    preparation, assumed = (None, None) if asked.preparation is not None else _assumed(model)
    return _classifier(asked, network, notes, preparation=preparation, head=head, assumed=assumed)


def _application(keras: Any, asked: Asked) -> Classifier:
    known = {name.lower(): name for name in dir(keras.applications) if name[0].isupper()}
    if asked.rest.lower() not in known:
        raise ModelError(unknown("Keras application", asked.rest, known.values()))
    make = getattr(keras.applications, known[asked.rest.lower()])
    home = sys.modules[make.__module__]
    model = _made(make, asked)
    network, head, notes = network_of(model, head=asked.head)
    height, width = model.input_shape[1:3]
    preparation = None
    if asked.preparation is None:
        preparation = preparation_of(home.preprocess_input, (height, width))
    names = None
    if asked.labels is None and model.output_shape[-1] == 1000:
        names, more = _names(home)
        notes = (*notes, *more)
    return _classifier(asked, network, notes, labels=names, preparation=preparation, head=head)


def _classifier(asked: Asked, network: Any, notes: tuple[str, ...], **known: Any) -> Classifier:
    """The classifier, with the hash of the file that its weights came from."""
    file = asked.weights or (Path(asked.rest).expanduser() if asked.rest.lower().endswith(SUFFIXES) else None)
    found = classifier_from(replace(asked, weights=None), network, **known)
    own_hash = found.weights_sha256 if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
    return replace(found, weights_sha256=own_hash, notes=(*found.notes, *notes))


def _made(make: Any, asked: Asked) -> Any:
    """The application with its own weights, or those of a file, whose number of classes it takes over."""
    if asked.weights is None:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it tells of the download
                return make(weights="imagenet")
        except Exception as error:
            # Keras downloads with urllib; a network that is not there shows in many ways.
            raise no_download(asked.name, first_line(error)) from error
    check_file(asked.weights)
    classes = classes_in(asked.weights)
    try:
        model = make(weights=None, **({} if classes is None else {"classes": classes}))
    except Exception as error:
        # An application may not be made on this backend (NASNet); its own text says so.
        raise ModelError(f"Keras cannot make {asked.rest}: {first_line(error)}") from error
    load_keras_weights(model, asked.weights)
    return model


def _names(home: Any) -> tuple[list[str] | None, tuple[str, ...]]:
    """Class names by the application's own `decode_predictions`, which fetches them once."""
    import numpy as np

    falling = np.linspace(1.0, 0.0, 1000, dtype=np.float32)[None]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it tells of the download
            found = home.decode_predictions(falling, top=1000)[0]
    except Exception as error:
        # They are a file on the net, and a missing network shows in many ways.
        return None, (f"the class names could not be downloaded ({first_line(error)}): give them with labels",)
    return [name.replace("_", " ") for _, name, _ in found], ()


def _assumed(model: Any) -> tuple[Preparation, str]:
    """The size and the channels that a model takes; which values it wants, only its layers can tell."""
    height, width, channels = model.inputs[0].shape[1:] if getattr(model, "inputs", None) else (None, None, 3)
    size = (height, width) if height and width else None
    bytes_wanted = any(type(layer).__name__ in _LEADING for layer in model.layers[:3])
    scale = 1.0 if bytes_wanted else 255.0
    one = {"channels": "grey", "mean": (0.0,), "std": (1.0,)} if channels == 1 else {}
    preparation = Preparation(resize=size, scale=scale, **one)  # type: ignore[arg-type]
    words = "from 0 to 255, which the model rescales itself" if bytes_wanted else "from 0 to 1"
    squashed = f" squashed to {height} × {width}" if size else ""
    told = f"a Keras file does not say how its pictures are prepared: they are given{squashed} with values {words}"
    return preparation, told
