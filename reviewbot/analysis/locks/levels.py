"""The level at which a lock is taken: the subclass that is handed to mutex_lock_nested() and its like.

Locks of one class that are taken at two levels are, by the word of who wrote it, those of two kinds of objects: the inode
of an extended attribute, and the one that has it.
"""

from __future__ import annotations

import re

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.identity import Scope, scope
from reviewbot.csource.ir import Call
from reviewbot.kernel import KERNEL, LockCall

PLAIN = "0"
"""The level of a call that is handed none."""
_HANDED = KERNEL.pattern("level")
_NORMAL = KERNEL.pattern("plain_level")
_CONSTANT = re.compile(r"\d+|[A-Z][A-Z0-9_]*")


def level(body: Body, call: Call, effect: LockCall) -> str:
    """The level at which a call takes its lock, in the words of its function: `$i` for a parameter; empty where the lock
    has no levels, or nothing is taken."""
    group = effect.group
    if effect.does == "release" or group.argument is None or not any(map(_HANDED.search, group.acquire)):
        return ""
    if not _HANDED.search(call.callee):
        return PLAIN
    return body.base(call.args[-1]) if len(call.args) > group.argument + 1 else ""


def constant(text: str) -> str:
    """The level that a text is; empty for one that only a run decides."""
    return (PLAIN if _NORMAL.search(text) else text) if _CONSTANT.fullmatch(text) else ""


def apart(lock: str, one: str, two: str) -> bool:
    """Whether a lock that is taken at two levels is that of two objects; a variable is one, at whatever level."""
    levels = constant(one), constant(two)
    return scope(lock) is not Scope.GLOBAL and all(levels) and levels[0] != levels[1]
