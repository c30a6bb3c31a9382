"""Names from outside, made safe: to show to a person, and to call a file after."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 40
"""Letters of a picture's name that go into a file's name."""


def shown(text: str) -> str:
    """A name as one line that can be read: what cannot be printed (control letters, newlines, marks that turn the
    reading direction, bytes that are no text) is written as an escape, so that it can neither act nor hide."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )


def plain_stem(text: str, longest: int = LONGEST) -> str:
    """The letters, digits and hyphens of a text in ASCII, at most `longest`; `x` where nothing is left."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9]+", "-", ascii_only)[:longest].strip("-") or "x"


class FileNames:
    """File names for the results of one run, no two alike, also where case is not told apart.

    A name holds the picture's name and the start of its hash, the target, and the method (with a hash of its fields
    where they are not the defaults): `dog-1a2b3c4d.bull-mastiff.occlusion-9f8e7d`.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, picture: str, sha256: str, target: str, method: str) -> str:
        """The name, without a suffix, of one result; another one each time it is asked."""
        stem = picture.rpartition(".")[0] or picture
        word, fields, _ = method.partition("(")
        made = f"-{hashlib.sha256(method.encode('utf-8', 'backslashreplace')).hexdigest()[:6]}" if fields else ""
        parts = (f"{plain_stem(stem)}-{sha256[:8]}", plain_stem(target, 32), plain_stem(word) + made)
        name = wanted = ".".join(parts)
        number = 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{wanted}.{number}"
        self._taken.add(name.casefold())
        return name
