"""The user's own network: `package.module:factory` or `path/to/file.py:factory`.

The factory is called without arguments and returns an `nn.Module`, a `Classifier`, or a callable from pixels to scores.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from sightline.errors import ModelError, SightlineError, unknown
from sightline.images.prepare_from import as_preparation
from sightline.models.classifier import Classifier, wrap
from sightline.models.from_keras import is_keras_model
from sightline.models.heads import check_head
from sightline.models.sources.base import Asked, classifier_from, first_line, weights_hash
from sightline.models.weights import load_into, read_weights


def load(asked: Asked) -> Classifier:
    """What the user's factory returns, with the weights of a file where one is given.

    The network's mode is left as the factory made it.

    Raises:
        ModelError: no such module or function, a factory that fails or returns no network, or weights that do not fit.
    """
    made = _made(asked.rest)
    if is_keras_model(made):
        return _of_keras(made, asked)
    network = made.network if isinstance(made, Classifier) else made
    if asked.weights is not None:
        if not isinstance(network, nn.Module):
            raise ModelError(f"{asked.rest} gives no nn.Module, so the weights of {asked.weights} have no place")
        load_into(network, read_weights(asked.weights), str(asked.weights), asked.rest)
    if isinstance(made, Classifier):
        return _with_asked(made, asked)
    wrap(made)  # refuses what is neither a network nor a function
    return classifier_from(asked, made)


def _of_keras(model: Any, asked: Asked) -> Classifier:
    """A Keras model of the user's own, with the weights of a Keras file where one is given."""
    from sightline.models.from_keras.files import load_keras_weights
    from sightline.models.sources.keras import of_model

    if asked.weights is not None:
        load_keras_weights(model, asked.weights)
    return of_model(asked, model)


def _with_asked(made: Classifier, asked: Asked) -> Classifier:
    """A classifier of the user's own, with what was asked for in place of what it says."""
    own_hash = made.weights_sha256 if asked.weights is None else None
    return replace(
        made,
        name=made.name if made.name not in ("network", type(made.function).__name__) else asked.name,
        labels=made.labels if asked.labels is None else tuple(str(name) for name in asked.labels),
        preparation=made.preparation if asked.preparation is None else as_preparation(asked.preparation),
        prepared_by_source=made.prepared_by_source and asked.preparation is None,
        head=made.head if asked.head == "auto" else check_head(asked.head),
        weights_sha256=own_hash or weights_hash(asked, made.function),
    )


def _made(path: str) -> Any:
    """What stands behind `module:name`: called if it is a function or a class, else as it is."""
    place, _, name = path.rpartition(":")
    if not place or not name:
        raise ModelError(f"{path!r} is no factory: expected package.module:function or file.py:function")
    # A user's own Keras model has to be made on torch; what is imported already is not changed.
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with _importable(Path.cwd()):
        module = _file(Path(place).expanduser()) if place.endswith(".py") else _module(place)
        factory: Any = module
        for part in name.split("."):
            if not hasattr(factory, part):
                known = [word for word in vars(factory) if not word.startswith("_")]
                raise ModelError(unknown(f"name in {place}:", part, known))
            factory = getattr(factory, part)
        if isinstance(factory, nn.Module | Classifier):
            return factory
        if not callable(factory):
            raise ModelError(f"{path} is a {type(factory).__name__}, expected a function that returns a network")
        made = _run(factory, path)
    if made is None:
        raise ModelError(f"{path} returned nothing, expected an nn.Module, a Classifier or a function")
    return made


def _run(factory: Any, what: str) -> Any:
    """The user's own code, with its failure as our error."""
    try:
        return factory()
    except SightlineError:
        raise
    except Exception as error:
        # Anything may go wrong in somebody's code; the reason is theirs, and is passed on.
        raise ModelError(f"{what} failed: {type(error).__name__}: {first_line(error)}") from error


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ModelError(
                f"no module {error.name!r} in the current folder or among the installed packages "
                "(a file is given as path/to/file.py:function)"
            ) from error
        raise ModelError(f"importing {name} failed: {first_line(error)}") from error
    except Exception as error:
        # Anything may go wrong while somebody's module is imported.
        raise ModelError(f"importing {name} failed: {type(error).__name__}: {first_line(error)}") from error


def _file(file: Path) -> ModuleType:
    if not file.is_file():
        raise ModelError(f"no file {file}")
    full = file.resolve()
    name = f"sightline_user_{file.stem}_{hashlib.sha256(str(full).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise ModelError(f"{file} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up there
    loader = spec.loader
    with _importable(full.parent):
        try:
            _run(lambda: loader.exec_module(module), f"importing {file}")
        except SightlineError:
            del sys.modules[name]
            raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Inside, modules of the folder can be imported; on the way out the path is as it was."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
