"""From one program to the next: which functions have to be looked at again when some files change.

A function is looked at again when its text changed, when it mentions a name whose declaration changed (a struct member,
a macro, a variable, a function), when what it calls through a pointer changed, or when the locks or effects of a
function that it calls did. Everything else is taken over, its lines moved.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from reviewbot.analysis.callgraph.components import below
from reviewbot.analysis.code.expr import show
from reviewbot.analysis.code.library import Sources
from reviewbot.analysis.code.tags import stubs
from reviewbot.analysis.code.texts import WORD, TextDigest
from reviewbot.csource.ir import Function, TranslationUnit, Type, Variable, by_name
from reviewbot.function_key import FunctionKey, file_of, key_of
from reviewbot.types import Source

_UNKNOWN = TextDigest()


class ProgramDelta(NamedTuple):
    """What an incremental update has to do: `dirty`, keys of the functions to analyse again; `moved`, key -> by how
    many lines (down is positive) for those that only moved."""

    dirty: frozenset[FunctionKey]
    moved: Mapping[FunctionKey, int]


def step(
    old: Sources,
    new: Sources,
    changed: Iterable[str],
    after: Source,
    points_to: Mapping[FunctionKey, object],
    near: Collection[FunctionKey] | None = None,
) -> ProgramDelta:
    """Compare two libraries that differ in the files `changed`, some of which may be in the new one only; `after` is the
    new source.

    near: functions for which more files are read. Nobody else includes what comes in with these: what their headers
    declare is looked up by these functions alone, and what they define by everybody who calls it.
    """
    dirty: set[FunctionKey] = set()
    moved: dict[FunctionKey, int] = {}
    wanted: dict[str, set[bytes]] = {}
    asked: set[bytes] = set()
    for path in changed:
        one, two = old.declared.get(path, TranslationUnit()), new.declared.get(path, TranslationUnit())
        functions = _functions(path, one, two, *(side.texts.get(path, _UNKNOWN).functions for side in (old, new)))
        dirty |= functions.dirty | {key_of(path)}
        moved.update(functions.moved)
        words = _words(path, one, two)
        if near is not None and path.endswith(".h") and path not in old.declared:
            asked |= words.keys()
        elif words:
            for user in _including(path, new):
                wanted.setdefault(user, set()).update(words)
            if linked := {word for word, shared in words.items() if shared}:
                for other in new.declared:
                    wanted.setdefault(other, set()).update(linked)
    linked_in = {file_of(key) for key in points_to}
    for path in wanted.keys() & linked_in:
        if new.texts.get(path, _UNKNOWN).may_have(wanted[path]):
            dirty |= _mentioning(path, new.declared.get(path, TranslationUnit()), wanted[path], after)
    for path, keys in _by_file(near or ()).items():
        if new.texts.get(path, _UNKNOWN).may_have(asked):
            dirty |= keys & _mentioning(path, new.declared.get(path, TranslationUnit()), asked, after)
    return ProgramDelta(frozenset(dirty), {k: n for k, n in moved.items() if k not in dirty})


def _including(path: str, library: Sources) -> set[str]:
    """A file and those that include it, also by way of others. Names of files are told apart without their folders,
    which may be said on the compiler's command line; below include/ not all files in between are at hand."""
    if path.startswith("include/"):
        return {path, *library.declared}
    by_name: dict[str, list[str]] = {}
    for other in library.declared:
        for name in library.texts[other].includes if other in library.texts else library.declared[other].includes:
            by_name.setdefault(posixpath.basename(name), []).append(other)
    return below([path], lambda at: by_name.get(posixpath.basename(at), ()))


def _by_file(keys: Iterable[FunctionKey]) -> dict[str, set[FunctionKey]]:
    found: dict[str, set[FunctionKey]] = {}
    for key in keys:
        found.setdefault(file_of(key), set()).add(key)
    return found


class _Compared(NamedTuple):
    dirty: set[FunctionKey]
    moved: dict[FunctionKey, int]


def _functions(
    path: str, one: TranslationUnit, two: TranslationUnit, text_one: Mapping[str, int], text_two: Mapping[str, int]
) -> _Compared:
    """Which functions of a file are other than before, and how far the others moved."""
    found = _Compared(set(), {})
    were, are = by_name(one), by_name(two)
    for name in were.keys() | are.keys():
        key = key_of(path, name)
        if (
            name not in were
            or name not in are
            or one.level != two.level
            or name not in text_one
            or text_one[name] != text_two.get(name)
            or not _alike(were[name], are[name])
        ):
            found.dirty.add(key)
        else:
            found.moved[key] = are[name].line - were[name].line
    return found


def _alike(a: Function, b: Function) -> bool:
    return (a.unreadable, a.macro, a.attributes, a.end - a.line) == (
        b.unreadable,
        b.macro,
        b.attributes,
        b.end - b.line,
    )


def _slice(function: Function, text: list[bytes]) -> list[bytes]:
    return text[function.line - 1 : function.end]


def _words(path: str, one: TranslationUnit, two: TranslationUnit) -> dict[bytes, bool]:
    """Names whose declaration is not what it was; True where they stand for it in all files, also in those that do not
    include this one (names are not looked up by what a file includes)."""
    header = path.endswith(".h")
    found = _struct_words(one, two, header)
    for name in _differing(dict(one.typedefs), dict(two.typedefs)):
        found[name] = header
    for name in _differing(dict(one.defines), dict(two.defines)):
        found[name] = header
    variables = [{v.name: (v.type, v.static, show(v.init)) for v in u.variables} for u in (one, two)]
    for name in _differing(*variables):
        static = all(name not in v or v[name][1] for v in variables)
        found[name] = header or not static
    prototypes = [{n: (r, _signature(p)) for n, r, p in u.prototypes} for u in (one, two)]
    for name in _differing(*prototypes):
        found[name] = header
    functions = [
        {
            f.name: (f.static, f.macro, f.result, _signature(f.parameters), f.name in off, show(f.gives))
            for f in u.functions
        }
        for u in (one, two)
        for off in (stubs(path, u),)
    ]
    for name in _differing(*functions):
        static = all(name not in f or (f[name][0] and not header) for f in functions)
        found[name] = not static
    return {name.encode(): everywhere for name, everywhere in found.items()}


def _struct_words(one: TranslationUnit, two: TranslationUnit, header: bool) -> dict[str, bool]:
    """The same of structures and their members: only who includes the file knows what a struct has."""
    found: dict[str, bool] = {}
    for name in _differing({s.name: s.members for s in one.structs}, {s.name: s.members for s in two.structs}):
        before, after = _members(one, name), _members(two, name)
        if not before or not after:
            found[name] = header
        for member in _differing(before, after):
            found.setdefault(member, False)
    return found


def _members(unit: TranslationUnit, struct: str) -> dict[str, Type]:
    return {m.name: m.type for s in unit.structs if s.name == struct for m in s.members}


def _signature(parameters: Iterable[Variable]) -> tuple[tuple[str, Type], ...]:
    """Parameters without the lines that they stand on."""
    return tuple((p.name, p.type) for p in parameters)


def _differing(one: Mapping[str, object], two: Mapping[str, object]) -> list[str]:
    names = one.keys() | two.keys()
    return sorted(name for name in names if one.get(name) != two.get(name))


def _mentioning(path: str, unit: TranslationUnit, words: set[bytes], source: Source) -> set[FunctionKey]:
    """Functions of a file whose text has one of the words, and its file scope when that has."""
    content = source.read(path) or b""
    if words.isdisjoint(WORD.findall(content)):
        return set()
    lines = content.split(b"\n")
    found = {key_of(path)}
    for name, function in by_name(unit).items():
        text = b"\n".join(_slice(function, lines))
        if not words.isdisjoint(WORD.findall(text)):
            found.add(key_of(path, name))
    return found
