"""What a command is given by the machine: streams that may be closed, a disk that may be full, a word to end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_REFUSED = (*_FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM,
            errno.ENAMETOOLONG, errno.ELOOP)  # fmt: skip
_STANDARD = 3
ENDED = 128
"""Exit codes above this one are of processes that were told to end, as shells count them."""
_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class EndedError(BaseException):
    """The machine asked the command to end; no `Exception`, so that nothing on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = ENDED + number


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Inside, what asks the process to end is an exception: by default it would be killed with its folders half made.

    Raises:
        EndedError: SIGTERM or SIGHUP came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in _ENDS if signal.getsignal(number) is signal.SIG_DFL]  # `nohup` ignores one
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> None:
    raise EndedError(number)


def leave(code: int) -> NoReturn:
    """End the process now: all is in order, and Python's own end, which takes torch apart, may take seconds."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody may be listening any more
            stream.flush()
    os._exit(code)


def open_closed_streams() -> None:
    """Stand in for standard streams that were closed before the command began (`>&-`).

    Their numbers are taken as well: the next file to be opened would get one, and other libraries' prints with it.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) < _STANDARD:
        pass
    os.close(handle)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open as long as the process


def drop_output() -> None:
    """Let nothing more be written where writing fails: the interpreter must not fail again when it ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def of_the_machine(error: BaseException) -> str:
    """What to say where the machine refused (a full disk, too many open files), which is no defect; else nothing."""
    if not isinstance(error, OSError) or error.errno not in _REFUSED:
        return ""
    where = f" for {error.filename}" if error.filename else ""
    return f"the machine refused{where}: {error.strerror}"
