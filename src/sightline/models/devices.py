"""Where a network runs."""

from __future__ import annotations

from typing import Any

import torch

from sightline.errors import ModelError


def as_device(device: Any) -> torch.device:
    """The device of this name, there and working.

    Raises:
        ModelError: no such device on this machine.
    """
    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ModelError(f"no device {device!r} here: {str(error).strip().splitlines()[0][:160]}") from error
    return where
