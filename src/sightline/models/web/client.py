"""Pictures to a server and scores back, a batch at a time; what is no row of numbers a picture is refused."""

from __future__ import annotations

import json

import numpy as np
import torch

from sightline.errors import ModelError
from sightline.models.web.ask import Asker
from sightline.models.web.protocols import Array, Speaks
from sightline.types import Pixels, Scores


class RemoteClassifier:
    """Pixels `b c h w` → scores `b k`, as often as a batch is full."""

    def __init__(self, asker: Asker, speaks: Speaks, batch: int, *, channels_last: bool) -> None:
        self._asker, self._speaks = asker, speaks
        self._batch, self._channels_last = batch, channels_last
        self._classes: int | None = None

    def __call__(self, pixels: Pixels) -> Scores:
        given = pixels.detach().to("cpu", torch.float32)
        given = given.permute(0, 2, 3, 1) if self._channels_last else given
        rows = [self._scores(np.ascontiguousarray(part.numpy())) for part in given.split(self._batch)]
        return torch.from_numpy(np.concatenate(rows))

    def _scores(self, pictures: Array) -> Array:
        body, kind = self._speaks.request(pictures)
        answer = self._asker.post(body, kind)
        found = self._read(answer)
        if found.ndim == 1 and len(found) == len(pictures):
            found = found[:, None]
        if found.ndim != 2 or len(found) != len(pictures) or not found.shape[1]:
            shape = "×".join(map(str, found.shape))
            raise ModelError(
                f"{self._where} answers {shape} scores about {len(pictures)} pictures: one row each was due"
            )
        with np.errstate(over="ignore"):
            found = found.astype(np.float32)
        if not np.isfinite(found).all():
            raise ModelError(f"{self._where} answers scores that are NaN, infinite or too large for float32")
        if self._classes not in (None, found.shape[1]):
            raise ModelError(f"{self._where} gave {self._classes} scores a picture before, and now {found.shape[1]}")
        self._classes = found.shape[1]
        return found

    def _read(self, answer: bytes) -> Array:
        try:
            told = json.loads(answer)
        except (ValueError, RecursionError) as error:
            start = answer[:80].decode("utf-8", "replace")
            raise ModelError(f"{self._where} answers no JSON: {start!r}") from error
        try:
            listed = self._speaks.scores(told)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            has = ", ".join(map(str, list(told)[:6])) if isinstance(told, dict) else type(told).__name__
            raise ModelError(
                f"{self._where} answers no scores as {self._speaks.name} does: it has {has or 'nothing'}"
            ) from error
        try:
            numbers = np.asarray(listed)
        except ValueError as error:
            raise ModelError(f"{self._where} answers rows of scores of several lengths") from error
        if numbers.dtype.kind not in "fiu":
            raise ModelError(f"{self._where} answers scores that are not numbers: {str(listed)[:80]}")
        return numbers

    @property
    def _where(self) -> str:
        return self._asker.address.shown
