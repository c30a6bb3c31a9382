"""OpenVINO itself: imported once, and without its reports to its maker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_TELEMETRY = "openvino_telemetry"


@cache
def core() -> Any:
    """OpenVINO's one entry."""
    with _unheard():
        import openvino
        import openvino.frontend.pytorch.ts_decoder
    return openvino.Core()


def loaded() -> bool:
    """Whether the import, some 0.7 s, is already paid for."""
    return core.cache_info().currsize > 0


@contextmanager
def _unheard() -> Iterator[None]:
    """OpenVINO imported without the package by which the import itself reports to Google Analytics.

    Who has imported it before us has made that choice, which stays as it is.
    """
    missing = _TELEMETRY not in sys.modules
    if missing:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if missing:
            del sys.modules[_TELEMETRY]
