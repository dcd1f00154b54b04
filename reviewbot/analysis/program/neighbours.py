"""Files beyond the folder that a change reaches: those that call what it changes, and those that it calls into.

The words of the files choose (see `atlas`), the facts are then made of the chosen files like of all others. Names of wide
use are the kernel's own vocabulary, for which there is api.toml; what is followed here are a few neighbours.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.code import kbuild, lexical
from reviewbot.analysis.code.family import family
from reviewbot.analysis.code.lexical import Defined, FileWords
from reviewbot.analysis.events.kinds import Bind, Workqueue
from reviewbot.analysis.events.kinds import Flush as Flushed
from reviewbot.analysis.events.kinds import Queue as Queued
from reviewbot.analysis.program import programs
from reviewbot.analysis.program.delta import step
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.program.tree_index import TreeIndex
from reviewbot.analysis.program.tree_lines import calling_through, exporting
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL, LockCall, PoolCall
from reviewbot.kernel.schema import AllocateGroup, FlushGroup, QueueGroup, SubmitGroup, WaitGroup, WakeGroup
from reviewbot.limits import (
    MAX_CALLED_FILES,
    MAX_CALLS_WITHIN_FILE,
    MAX_FILES_LOOKED_THROUGH,
    MAX_NEIGHBOURS_OF_KIND,
    MAX_USERS_OF_NAME,
)
from reviewbot.types import Change, Line, Progress, Source

_ASKED = (Bind, Flushed, Queued, Workqueue)
"""Facts of which a rule asks who else has to do with them: work is often queued in another folder than it is run in."""
_MATTERS = (AllocateGroup, FlushGroup, LockCall, PoolCall, QueueGroup, SubmitGroup, WaitGroup, WakeGroup)
_WORD = re.compile(r"[A-Za-z_]\w*")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
_RUNS = rb"\b([A-Za-z_]\w{0,60})\s*\((?:[^();{}]|\([^();{}]{0,200}\)){0,300}?[,(]\s*&?(?:%s)\s*[,)]"
"""A call that is handed one of some names. Its length is bounded, because a text may be made to have no end."""
_INCLUDE = re.compile(rb'^#\s*include\s*[<"]([^>"\n]{1,200})[>"]', re.M)
_DEFINED = re.compile(r"^[A-Za-z][\w \t*]*?\b(\w+)\(")
_HANDED = re.compile(r"\b([A-Za-z_]\w*)\(\s*&?([A-Za-z_]\w*)\s*[,)]")


class _ChangedSide(NamedTuple):
    """A changed file on one side: its words, the functions in which a line is changed, the words of these lines, and
    those that they hand to a call which does something to them."""

    words: FileWords
    touched: tuple[Defined, ...]
    named: frozenset[str]
    handed: frozenset[str]
    runs: frozenset[str]
    """Calls that are handed one of these functions."""


class Reach:
    """Files outside of the folders of a change that have to be part of both its programs."""

    def __init__(
        self, change: Change, before: Source, after: Source, paths: Iterable[str], progress: Progress | None = None
    ) -> None:
        self._change, self._before, self._after, self._progress = change, before, after, progress
        self._paths = tuple(paths)

    @cached_property
    def _programs(self) -> tuple[Program, Program]:
        return programs.around(self._before, self._paths), programs.around(self._after, self._paths)

    @cached_property
    def touched(self) -> frozenset[FunctionKey]:
        """The functions that the change makes look different."""
        old, new = self._programs
        changed = {p for p in self._paths if old.library.blobs.get(p) != new.library.blobs.get(p)}
        return step(old.library, new.library, changed, self._after, new.callgraph.points_to).dirty

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Their paths, most related first: those that export what the changed functions call, those that call these through a
        table, and, where a fact about work, its queues or flushes changes, those that use it too: only of these do rules ask
        who else does."""
        others = (*called(self._change, self._before, self._after), *self._holding)
        old, new = self._programs
        was, now = (w.facts(p for p in self._paths if p in w.library.blobs) for w in (old, new))
        if not any(isinstance(fact, _ASKED) for fact in (*(now - was), *(was - now))):
            return others
        return tuple(dict.fromkeys((*beyond(self._change, self._before, self._after, self._progress), *others)))

    @cached_property
    def _holding(self) -> tuple[str, ...]:
        """Files of other folders that call what changes through a table, and may hold something there, as the base has
        them: those that include its header; but not other users of it, which call what they put there themselves."""
        found: dict[str, None] = {}
        old = self._programs[0]
        slots = {slot: slot.partition(".") for program in self._programs for slot in _entered(program, self.touched)}
        calling = calling_through(self._before, {field for _, _, field in slots.values()}) if slots else {}
        near = _near(self._paths)
        for struct, _, field in slots.values():
            paths = [path for path in calling.get(field, ()) if not near(path)][:MAX_FILES_LOOKED_THROUGH]
            headers = {path.removeprefix("include/") for path in old.names.declaring(struct) if path.endswith(".h")}
            texts = self._before.read_many(paths)
            using = [path for path in paths if path in texts and headers & _included(texts[path])]
            core = [path for path in using if not self._fills(path, field)] if len(using) <= MAX_USERS_OF_NAME else []
            found.update(dict.fromkeys(core if len(core) <= MAX_NEIGHBOURS_OF_KIND else ()))
        return tuple(found)[:MAX_NEIGHBOURS_OF_KIND]

    def _fills(self, path: str, field: str) -> bool:
        """Whether the folder of a file puts functions of its own into a member, and is no folder around the change."""
        folder = posixpath.dirname(path)
        around = any(own.startswith(f"{folder}/") for own in self._paths)
        return not around and bool(self._before.grep(folder, rf"\.{field}\s*=[^=]"))


def _entered(program: Program, keys: Iterable[FunctionKey]) -> Iterator[str]:
    """The slots (`struct.member`) of which nothing is known that some functions are entered by, they or a few calls above,
    and through which nobody calls in the program."""
    callgraph = program.callgraph
    seen, level = set(keys), set(keys)
    for _ in range(MAX_CALLS_WITHIN_FILE):
        level = {caller for key in level for caller in callgraph.callers.get(key, ())} - seen
        seen |= level
    called = {node for points_to in callgraph.points_to.values() for node in points_to.nodes}
    for node, handlers in callgraph.targets.items():
        slot = "." in node and "#" not in node and node not in KERNEL.slots and node not in called
        if slot and not seen.isdisjoint(handlers):
            yield node


def _included(text: bytes) -> set[str]:
    """The headers that a file includes, as it writes them."""
    return {name.decode("utf-8", "replace") for name in _INCLUDE.findall(text)}


def beyond(change: Change, before: Source, after: Source, progress: Progress | None = None) -> tuple[str, ...]:
    """Files outside of the families of a change that it reaches, as the base has them; few, most related first."""
    sides = [*_sides(change, before, after)]
    paths = {p for f in change.files for p in (f.path, f.old_path) if p}
    if not any(side.touched or side.named for side in sides) or not any(p.startswith(_ROOTS) for p in paths):
        return ()
    near = _near(paths)
    with TreeIndex.of(before, progress) as atlas:
        callers, callees = _callers(atlas, sides, near), _callees(atlas, sides, near)
    return tuple(dict.fromkeys((*callers, *callees)))


def called(change: Change, before: Source, after: Source) -> tuple[str, ...]:
    """Files of other folders that export what the changed functions call, as the base has them: those named in a changed
    line, or called by what is handed a mask there, and those in which it locks, waits or wakes. Few, most related first.

    Of what everybody calls, those that wait and that stand for what they call, or the other way round: napi_enable() for
    napi_enable_locked().
    """
    sides = [*_sides(change, before, after)]
    near = _near({p for f in change.files for p in (f.path, f.old_path) if p})
    own = {f.name for side in sides for f in side.words.functions}
    calls = {name for side in sides for f in side.touched for name in f.calls}
    runs = {name for side in sides for name in side.runs}
    calls = (calls | runs) - own - KERNEL.effects.keys()
    handed = {name for side in sides for name in _handed_masks(side)}
    calls |= handed - own - KERNEL.effects.keys()
    named = {name for side in sides for name in side.named} | runs | handed
    swapped = _called_on_one_side(change)
    either = frozenset().union(*swapped)
    found: Counter[str] = Counter()
    read: dict[str, FileWords] = {}
    defining = exporting(before, calls)
    defining |= _in_module(change, before, (calls & named & either) - defining.keys())
    for name, path in defining.items():
        known = _everybodys(path)
        if near(path) or (known and name not in either):
            continue
        if path not in read:
            read[path] = lexical.read(before.read(path) or b"")
        if known and not _stands_for(read[path], swapped):
            continue
        if (name in named and not known) or _matters(read[path], name, _blocks):
            found[path] += 1 + MAX_CALLED_FILES * (name in named)
    return tuple(sorted(found, key=lambda p: (-found[p], p))[:MAX_CALLED_FILES])


def _in_module(change: Change, source: Source, names: Set[str]) -> dict[str, str]:
    """Name -> the file that defines it, of what is called in another folder of the same module: nobody exports that."""
    paths = [file.old_path or file.path for file in change.files]
    modules = {path: kbuild.module(path, source) for path in paths if path.endswith(".c") and names}
    found: dict[str, str] = {}
    folders = {
        (posixpath.dirname(module), posixpath.dirname(path)) for path, module in modules.items() if module != path
    }
    for folder in sorted({folder for folder, own in folders if folder != own}):
        line = rf"^[A-Za-z][A-Za-z0-9_ *]*\b({'|'.join(sorted(names))})\("
        for path, lines in source.grep(folder, line).items():
            defined = (
                _DEFINED.match(text) for text in lines if path.endswith(".c") and not text.rstrip().endswith(";")
            )
            found |= {match[1]: path for match in defined if match and match[1] in names}
    return found


def _handed_masks(side: _ChangedSide) -> Iterator[str]:
    """What the functions of the file call to which a changed line may hand a mask."""
    if not side.named.isdisjoint(KERNEL.masks.values()):
        for function in side.words.functions:
            if function.name in side.named:
                yield from function.calls


def _called_on_one_side(change: Change) -> tuple[frozenset[str], frozenset[str]]:
    """Names of what is called in changed lines of one side and not of the other: of the side before, of the side after."""
    lines = [line for file in change.files for hunk in file.hunks for line in hunk.lines]
    old, new = (frozenset(n for x in lines if x.sign == sign for n in _CALL.findall(x.text)) for sign in "-+")
    return old - new, new - old


def _stands_for(words: FileWords, swapped: tuple[frozenset[str], frozenset[str]]) -> bool:
    """Whether a function that is called on one side calls one that is called on the other side."""
    old, new = swapped
    return any(
        (f.name in old and new & set(f.calls)) or (f.name in new and old & set(f.calls)) for f in words.functions
    )


def harmless(names: Iterable[str], base: Source) -> frozenset[str]:
    """Those of some names that the kernel's own vocabulary exports and that do nothing, as their words say, for which
    others wait: no sleep, no wake-up, nothing queued or flushed, no lock but spinlocks of their own."""
    where = {name: path for name, path in exporting(base, names).items() if _everybodys(path)}
    read = {path: lexical.read(base.read(path) or b"") for path in set(where.values())}
    return frozenset(
        name
        for name, path in where.items()
        if name not in KERNEL.sleepers and not _matters(read[path], name, _felt, KERNEL.sleepers)
    )


def _felt(effect: object) -> bool:
    """Whether others notice an effect, or wait for it."""
    if isinstance(effect, LockCall):
        return KERNEL.sleeping(effect.group.klass)
    return isinstance(effect, (FlushGroup, QueueGroup, SubmitGroup, WaitGroup, WakeGroup))


def _blocks(effect: object) -> bool:
    return isinstance(effect, (FlushGroup, LockCall, WaitGroup, WakeGroup))


def _everybodys(path: str) -> bool:
    """Whether a file is of the kernel's own vocabulary, for which there is data."""
    folder = posixpath.dirname(path)
    deep = (name.removesuffix("/**") for name in KERNEL.vocabulary if name.endswith("/**"))
    return folder in KERNEL.vocabulary or any(folder == name or folder.startswith(f"{name}/") for name in deep)


_ROOTS = tuple(f"{folder}/" for folder in KERNEL.indexed)


def _near(paths: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path is in the program of the changed files anyway."""
    folders = {f for p in paths if not p.startswith("include/") for f in family(p)}

    def near(path: str) -> bool:
        folder = posixpath.dirname(path)
        return path.endswith(".h") or any(
            folder == name or (deep and folder.startswith(name + "/")) for name, deep in folders
        )

    return near


def _sides(change: Change, before: Source, after: Source) -> Iterator[_ChangedSide]:
    for file in change.files:
        old = file.old_path or file.path
        for source, path, sign in ((before, old, "-"), (after, file.path, "+")):
            text = source.read(path) if path.endswith((".c", ".h")) and not file.binary else None
            if text is not None:
                yield _side(text, [x for h in file.hunks for x in h.lines if x.sign == sign])


def _side(text: bytes, rows: list[Line]) -> _ChangedSide:
    """One side of a file, with the lines that only this side has."""
    words = lexical.read(text)
    lines = {x.after or x.before for x in rows}
    touched = tuple(f for f in words.functions if any(f.line <= n <= f.end for n in lines))
    named = frozenset(w for x in rows for w in _WORD.findall(x.text))
    calls = (pair for x in rows for pair in _HANDED.findall(x.text))
    handed = frozenset(name for call, name in calls if call in KERNEL.effects)
    return _ChangedSide(words, touched, named, handed, frozenset(_running(text, touched)))


def _running(text: bytes, functions: Iterable[Defined]) -> Iterator[str]:
    """The calls that are handed one of some functions, as the words say."""
    names = b"|".join(function.name.encode() for function in functions)
    return (m[1].decode() for m in re.finditer(_RUNS % names, text)) if names else iter(())


def _callers(atlas: TreeIndex, sides: list[_ChangedSide], near: Callable[[str], bool]) -> list[str]:
    """Files that call a function of which something changes, or use a variable that a changed line names."""
    found: Counter[str] = Counter()
    functions = {name for side in sides for name in _outward(side)}
    named = {name for side in sides for name in side.named}
    own = {v for side in sides for v in side.words.variables}
    for names, lookup in ((functions, atlas.calling), (named & own, atlas.using)):
        for name in names:
            found.update(_few(lookup(name), near))
    return _first(found)


def _outward(side: _ChangedSide) -> set[str]:
    """Functions that others can call, among those that are touched and their callers in the file."""
    by_callee: dict[str, list[Defined]] = {}
    for function in side.words.functions:
        for callee in function.calls:
            by_callee.setdefault(callee, []).append(function)
    found, level = set(), list(side.touched)
    seen = {f.name for f in level}
    for _ in range(MAX_CALLS_WITHIN_FILE):
        found |= {f.name for f in level if not f.static}
        level = [c for f in level if f.static for c in by_callee.get(f.name, ()) if c.name not in seen]
        seen |= {f.name for f in level}
    return found


def _callees(atlas: TreeIndex, sides: list[_ChangedSide], near: Callable[[str], bool]) -> list[str]:
    """Files with the functions that a changed function calls, as far as these lock, wait, allocate or the like; and
    files with the variables that a changed line names."""
    found: Counter[str] = Counter()
    called = {name for side in sides for f in side.touched for name in f.calls} - KERNEL.effects.keys()
    for name in called:
        where = atlas.defining(name)
        if where and not any(map(near, where)) and sum(not near(p) for p in atlas.calling(name)) <= MAX_USERS_OF_NAME:
            found.update(p for p in _few(where, near, 1) if _matters(atlas.words(p), name))
    for name in {name for side in sides for name in side.handed}:
        where = atlas.having(name)
        if where and not any(map(near, where)):
            found.update(_few(where, near, 1))
    return _first(found)


def _kept(effect: object) -> bool:
    return isinstance(effect, _MATTERS)


def _matters(
    words: FileWords, name: str, wanted: Callable[[object], bool] = _kept, names: frozenset[str] = frozenset()
) -> bool:
    """Whether a function does something that is wanted (default: to locks, memory, queues or sleepers) or calls one of
    some names, itself or further down in its file."""
    functions = {f.name: f for f in words.functions}
    level, seen = [name], {name}
    for _ in range(MAX_CALLS_WITHIN_FILE):
        calls = {c for n in level if n in functions for c in functions[n].calls}
        if not names.isdisjoint(calls) or any(wanted(e) for c in calls for e in KERNEL.effects.get(c, ())):
            return True
        level = [c for c in calls if c not in seen]
        seen |= calls
    return False


def _few(paths: Iterable[str], near: Callable[[str], bool], most: int = MAX_USERS_OF_NAME) -> list[str]:
    """Those beyond the folder; none when there are many."""
    found = [p for p in paths if not near(p)]
    return found if len(found) <= most else []


def _first(found: Counter[str]) -> list[str]:
    return sorted(found, key=lambda p: (-found[p], p))[:MAX_NEIGHBOURS_OF_KIND]
