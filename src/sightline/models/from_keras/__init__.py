"""Keras 3 models on the torch backend as networks of torch's own modules, channels first."""

from __future__ import annotations


def is_keras_model(thing: object) -> bool:
    """Whether something is a model of Keras, of any backend; Keras is not imported for this."""
    return any(kind.__name__ == "Model" and kind.__module__.startswith("keras.") for kind in type(thing).__mro__)
