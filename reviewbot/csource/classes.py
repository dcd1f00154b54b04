"""DEFINE_GUARD() and its like: what guard() calls, as the pseudo functions that `guards` gives calls to.

Source: include/linux/cleanup.h. `DEFINE_GUARD(x, type, lock, unlock)` makes class_x_constructor(_T) and
class_x_destructor(_T), whose bodies are the macro's arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reviewbot.csource.defines import Define
from reviewbot.csource.ir import Call, Function
from reviewbot.csource.macros import macro
from reviewbot.csource.text import SourceText, arguments, closing

# macro -> positions of what is called on entry and on the way out (-1: nothing), and of the constructor's parameters
MAKERS = {
    "DEFINE_GUARD": (2, 3, -1),
    "DEFINE_LOCK_GUARD_1": (2, 3, -1),
    "DEFINE_LOCK_GUARD_0": (1, 2, -1),
    "DEFINE_CLASS": (3, 2, 4),
    "DEFINE_GUARD_COND": (2, -1, -1),
    "DEFINE_LOCK_GUARD_1_COND": (2, -1, -1),
}


def class_functions(text: SourceText, calls: Iterable[Call]) -> Iterator[Function]:
    """Constructors and destructors of the classes that a file's macro calls at file scope define."""
    starts: list[int] | None = None
    for call in calls:
        if call.callee not in MAKERS:
            continue
        if starts is None:
            starts = [0, *(at + 1 for at, c in enumerate(text.clean) if c == 10)]
        open_ = text.clean.find(b"(", starts[call.line - 1])
        close = closing(text.clean, open_) if open_ >= 0 else -1
        if close < 0:
            continue
        args = [text.clean[slice(*range_)].strip() for range_ in arguments(text.clean, open_ + 1, close - 1)]
        enter, leave, first = MAKERS[call.callee]
        if len(args) <= max(enter, leave):
            continue
        name = args[0] + (args[1] if call.callee.endswith("_COND") else b"")
        given = tuple(_last_word(arg) for arg in args[first:]) if first > 0 else ("_T",)
        for kind, position, parameters in (("constructor", enter, given), ("destructor", leave, ("_T",))):
            if position >= 0:
                body = args[position].replace(b"_T->lock", b"_T")
                made = macro(Define(f"class_{name.decode('ascii', 'replace')}_{kind}", parameters, body, call.line))
                if made is not None:
                    yield made


def _last_word(declaration: bytes) -> str:
    words = declaration.replace(b"*", b" ").split()
    return words[-1].decode("ascii", "replace") if words else ""
