"""The Hugging Face hub without its lines about every retry, and without waiting for a network that is not there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies


@contextmanager
def hub(*, needed: bool = True) -> Iterator[None]:
    """Inside, the hub's libraries tell errors only, and read their cache alone where the hub cannot be reached.

    Without a connection they would try again for most of a minute before they look into the cache.

    Args:
        needed: whether anything may have to come from the hub; nothing is looked up there otherwise.
    """
    from huggingface_hub import constants

    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "transformers", "timm")]
    levels, offline = [logger.level for logger in loggers], constants.HF_HUB_OFFLINE
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        constants.HF_HUB_OFFLINE = offline or not (needed and reachable())
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def reachable() -> bool:
    """Whether the hub's address is known here; behind a proxy only the proxy has to know it."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return bool(getproxies()) or bool(socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443))
    except OSError:
        return False


def why(error: BaseException) -> str:
    """Why something could not be had from the hub, in a few words."""
    if not reachable():
        return "the hub cannot be reached from here, and it is not in the cache"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
