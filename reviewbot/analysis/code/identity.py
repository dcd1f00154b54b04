"""Identity of the objects that facts are about: locks, pools, queues, completions, work items.

An identity is text that survives moved lines, renamed locals and reflowed code:

    dm_verity.recheck_pool            a field of every instance of a struct (nested fields joined by dots)
    drivers/md/x.c:lists              a variable of one file;   x.c:lists:head   a field of it
    system_wq                         a variable of the whole kernel;   name:field   a field of it
    run()done                         a local of a function, on its stack;   run()done.wait
    *completion                       some object of that type, nothing else is known
    $0   $0.wait                      what the function's first argument points to; @0.lock a field of its unknown type
    ?                                 not known: never a ground for a fact

`$` and `@` are replaced by what the caller hands in; whatever is left of them at the end is not known.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

from reviewbot.limits import MAX_IDENTITY_LENGTH

UNKNOWN = "?"


class Scope(StrEnum):
    """How many instances an identity can stand for."""

    GLOBAL = "global"
    """One for all instances: shared by everything that can be stacked."""
    INSTANCE = "instance"
    """One in each instance of a struct."""
    STACK = "stack"
    """One in each call of a function."""
    ARGUMENT = "argument"
    """Known to the caller only."""
    UNKNOWN = "unknown"


_ARGUMENT = re.compile(r"([$@])(\d+)")
_NONE = frozenset[int]()


def scope(identity: str) -> Scope:
    """How many instances an identity can stand for; UNKNOWN for an empty one and for `?`."""
    if not identity or identity.startswith(UNKNOWN):
        return Scope.UNKNOWN
    if identity[0] in "$@":
        return Scope.ARGUMENT
    if identity[0] == "*":
        return Scope.INSTANCE
    if "()" in identity:
        return Scope.STACK
    if ":" in identity:
        return Scope.GLOBAL
    return Scope.INSTANCE if "." in identity else Scope.GLOBAL


def in_file(file: str, variable: str) -> str:
    """The identity of a variable of one file."""
    return f"{file}:{variable}"


def field_of(variable: str, chain: str) -> str:
    """The identity of a field (nested ones joined by dots) of a variable; of the variable itself without one."""
    return f"{variable}:{chain}" if chain else variable


def without_file(identity: str) -> str:
    """The name of a variable without the file that it belongs to, if it belongs to one."""
    return identity.rpartition(":")[2]


def file_with(identity: str) -> str:
    """The file that a variable belongs to; empty for what belongs to no file."""
    return identity.rpartition(":")[0]


def variable_of(identity: str, file: str) -> tuple[str, str]:
    """The file and the name of the variable that an identity, as said in `file`, is or is a field of."""
    head, _, rest = identity.partition(":")
    return (head, rest.partition(":")[0]) if "/" in head else (file, head)


def known(identity: str) -> bool:
    """True when the identity says which object, or which member of which struct, it is; False for one that depends on a
    caller or could not be told."""
    return bool(identity) and identity[0] not in "?$@"


def owner(identity: str) -> str:
    """The struct whose field it is, or an empty string."""
    return identity.partition(".")[0] if scope(identity) is Scope.INSTANCE and identity[0] != "*" else ""


@lru_cache(4096)
def member(identity: str) -> str:
    """The last part of the name: `recheck_pool` of `dm_verity.recheck_pool`, `lists` of `drivers/md/x.c:lists`."""
    return re.split(r"[.:]|\(\)", identity)[-1].lstrip("*$")


def short(identity: str) -> str:
    """The identity for people, without the folder of a file's own variable."""
    file, colon, name = identity.rpartition(".c:")
    return f"{file.rpartition('/')[2]}.c:{name}" if colon else identity


def spoken(identity: str) -> str:
    """For a sentence: as C has it, `dm_verity->recheck_pool` of a structure, the bare name of a variable.

    `reviewbot.replay.naming` puts the author's expression in place of a field.
    """
    if identity[:1] == "*" and identity[1:].isidentifier():
        return f"the {identity[1:]}"
    _, local, name = identity.rpartition("()")
    if local:
        return name
    _, colon, name = identity.rpartition(".c:")
    variable = name.replace(":", ".") if colon else identity  # a field of a variable
    owner, dot, rest = variable.partition(".")
    if colon or not dot or not owner.isidentifier():
        return variable
    return f"{owner}->{rest}"


def positions(identity: str) -> frozenset[int]:
    """The arguments of a function that an object is told by."""
    if "$" not in identity and "@" not in identity:
        return _NONE
    return frozenset(int(position) for _, position in _ARGUMENT.findall(identity))


def bind(identity: str, objects: tuple[str, ...], types: tuple[str, ...]) -> str:
    """Replace `$i` by the i-th of `objects` and `@i` by the i-th of `types`; too long or missing gives `?`."""
    if "$" not in identity and "@" not in identity:
        return identity

    def put(found: re.Match[str]) -> str:
        values = objects if found.group(1) == "$" else types
        position = int(found.group(2))
        return (values[position] if position < len(values) else "") or UNKNOWN

    bound = _ARGUMENT.sub(put, identity)
    return UNKNOWN if UNKNOWN in bound or len(bound) > MAX_IDENTITY_LENGTH else bound
