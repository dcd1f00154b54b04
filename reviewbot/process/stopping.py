"""Being asked to stop, by SIGINT (Ctrl-C) or SIGTERM: one line and exit code 130, whenever it comes; ending with a parent."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import NoReturn

CODE = 130
"""Exit code of a command that was asked to stop."""
ASKED = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


def at_once() -> None:
    """While there is nothing to put away: leave on the spot."""
    _handle(_leave)


def in_order() -> None:
    """From now on it is a KeyboardInterrupt, once: whoever has something to put away does so on the way out."""
    _handle(_unwind)


def leave(code: int) -> NoReturn:
    """End the process at once, without giving back each value by itself, which takes as long as to read a dozen files."""
    os._exit(code)


def with_parent(parent: int) -> None:
    """From now on this process ends when the one that started it does, however that ends (on Linux). parent: its id.

    For the kernel the parent is the thread that started this process: it has to stay as long as the process is needed.
    """
    import ctypes

    with suppress(AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        leave(1)


def _handle(handler: object) -> None:
    for number in ASKED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
            signal.signal(number, handler)  # type: ignore[arg-type]


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"reviewbot: interrupted\n")
    leave(CODE)


def _unwind(number: int, frame: FrameType | None) -> None:
    for one in ASKED:
        signal.signal(one, signal.SIG_IGN)  # the way out is not cut short
    raise KeyboardInterrupt
