"""One request, asked until it is answered or refused. Redirections are not followed."""

from __future__ import annotations

import http.client
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sightline.errors import ModelError

_PASSING = (429, 502, 503, 504)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0  # seconds
_MOST_BYTES = 256 * 2**20
_HERE = ("localhost", "127.0.0.1", "::1")
_SECRET = re.compile(r"auth|cookie|key|token|secret|password|credential", re.IGNORECASE)
"""Names of headers that hold credentials, however a service calls its own."""
_PART = 65536


@dataclass(frozen=True)
class Address:
    """Where to ask.

    Attributes:
        url: as given.
        shown: host and path: what may follow a `?` can be a secret, and stands in no result.
        headers: sent with every request.
        here: whether it is this machine, which is asked without a proxy.
    """

    url: str
    shown: str
    here: bool
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> Address:
        """The address, checked.

        Raises:
            ModelError: no http address, one with a password in it, or credentials that anybody on the way could read.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ModelError(f"{url!r:.120} is no address: {error}") from error
        if parts.scheme not in ("http", "https") or not host:
            raise ModelError(f"{url!r:.120} is no address of a classifier: expected http://HOST/… or https://HOST/…")
        shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
        if parts.username or parts.password:
            raise ModelError(
                f"the address of {shown} holds a user name or password: give headers={{'Authorization': …}}"
            )
        secret = [name for name in headers if _SECRET.search(name)]
        if secret and parts.scheme == "http" and host not in _HERE:
            raise ModelError(f"{secret[0]} would be sent to {shown} for all to read: use https")
        return cls(url, shown, host in _HERE, dict(headers))


@dataclass(frozen=True)
class Patience:
    """How long and how often: seconds for an answer, further trials, requests a second at most."""

    timeout: float = 60.0
    retries: int = 4
    rate: float | None = None


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """A redirection stays what it is: an answer that is no answer."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Asker:
    """Posts bytes to one address."""

    def __init__(self, address: Address, patience: Patience) -> None:
        self.address = address
        self._patience = patience
        proxies = [urllib.request.ProxyHandler({})] if address.here else []
        self._opener = urllib.request.build_opener(_NoRedirection(), *proxies)
        self._next = 0.0  # when the next request may go out
        self._lock = threading.Lock()

    def post(self, body: bytes, kind: str) -> bytes:
        """What the server answers.

        Raises:
            ModelError: it cannot be reached, or answers with anything but success, also after all trials.
        """
        for trial in range(self._patience.retries + 1):
            self._wait_for_turn()
            try:
                return self._once(body, kind)
            except urllib.error.HTTPError as error:
                problem, wanted = self._told(error), error.headers.get("Retry-After", "") if error.headers else ""
                error.close()
                if error.code not in _PASSING:
                    raise ModelError(problem) from None
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                problem, wanted = self._unreached(error), ""
            if trial < self._patience.retries:
                time.sleep(_pause(trial, wanted))
        trials = self._patience.retries + 1
        raise ModelError(f"{problem} (asked {trials} times)" if trials > 1 else problem)

    def _once(self, body: bytes, kind: str) -> bytes:
        headers = {"Content-Type": kind, "Accept": "application/json", **self.address.headers}
        request = urllib.request.Request(self.address.url, data=body, headers=headers, method="POST")
        until = time.monotonic() + self._patience.timeout
        found = bytearray()
        with self._opener.open(request, timeout=self._patience.timeout) as answer:
            # In parts: a server that says a little now and then would never come to an end, and never be too late.
            while part := answer.read1(_PART):
                found += part
                if len(found) > _MOST_BYTES:
                    raise ModelError(f"{self.address.shown} answers with more than {_MOST_BYTES >> 20} MB")
                if time.monotonic() > until:
                    raise TimeoutError
            if answer.length:
                raise http.client.IncompleteRead(bytes(found[:_PART]), answer.length)
        return bytes(found)

    def _told(self, error: urllib.error.HTTPError) -> str:
        """An HTTP error in one line, with the first words of the server's own."""
        if 300 <= error.code < 400:
            return (
                f"{self.address.shown} sends us on to {error.headers.get('Location', 'another address')!r:.120}: "
                "pictures go to no address but the given one; if that is right, give it"
            )
        try:
            text = " ".join(error.read(400).decode("utf-8", "replace").split())[:160]
        except OSError:
            text = ""  # the connection broke within the words; the number says enough
        return f"{self.address.shown} answers HTTP {error.code} {error.reason}{': ' + text if text else ''}"

    def _unreached(self, error: BaseException) -> str:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            return f"{self.address.shown} gives no answer within {self._patience.timeout:g} s"
        if isinstance(reason, http.client.IncompleteRead):
            return f"{self.address.shown} breaks off in the middle of its answer"
        return f"{self.address.shown} cannot be reached: {reason or type(error).__name__}"

    def _wait_for_turn(self) -> None:
        if self._patience.rate is None:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + 1 / self._patience.rate
        time.sleep(turn - now)


def _pause(trial: int, wanted: str) -> float:
    """Seconds before the next trial: what the server asks for, else twice the last pause."""
    own = _FIRST_PAUSE * 2**trial
    return min(float(wanted) if wanted.isdecimal() else own, _LONGEST_PAUSE)
