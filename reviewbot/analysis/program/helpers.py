"""What functions do that lie outside of the folders of a change: helpers of lib/, mm/, fs/, the core of a subsystem.

The index of the tree finds the file that defines a name; what each function of that file does by itself is found out
once, from the text and the headers it includes, and kept by blob id. It is put together when it is asked for, over a few
files. Only what a function does on whatever way is told: an effect under a flag that its caller hands in, under a mask,
or for the last reference, is left out, because nothing is known of the condition.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.code.expr import PLUS, bare, parts, test
from reviewbot.analysis.producers.view import View
from reviewbot.analysis.program import programs
from reviewbot.analysis.program.cache import version
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.program.tree_index import TreeIndex
from reviewbot.analysis.summaries.effect_summary import CALL, MASKED, Beyond, Effect
from reviewbot.csource.ir import Call, Name
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_TO_HELPER, MAX_HELPER_CALLS, MAX_HELPER_FILES, MAX_NEAR_CHANGE
from reviewbot.process import cache
from reviewbot.types import Cut, Place, Source

Known = Mapping[str, tuple[Beyond, ...]]
"""Function of a file that others can call -> what it does, and whom beyond the file it calls (effects of kind CALL)."""
_DECODER = msgspec.msgpack.Decoder(dict[str, tuple[Beyond, ...]])


class Helpers:
    """What the functions of one tree do, by name, for the calls of one change."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._files: dict[str, Known] = {}
        self._found: dict[tuple[str, int], tuple[Beyond, ...]] = {}
        self.cuts: dict[Cut, None] = {}
        """What was not looked at."""

    @cached_property
    def _index(self) -> TreeIndex:
        return TreeIndex.of(self._source)

    def of(self, name: str, deep: int = MAX_HELPER_CALLS) -> tuple[Beyond, ...]:
        """What the only function of that name does that others can call; nothing where several files define it."""
        found = self._found.get((name, deep))
        if found is None:
            self._found[name, deep] = ()  # should it come back to itself
            where = self._index.defining(name)
            own = self._file(where[0]).get(name, ()) if len(where) == 1 else ()
            found = self._found[name, deep] = tuple(dict.fromkeys(self._followed(own, deep)))
        return found

    def _followed(self, own: Iterable[Beyond], deep: int) -> Iterator[Beyond]:
        for beyond in own:
            if beyond.effect.kind != CALL:
                yield beyond
            elif deep:
                args = tuple(beyond.effect.detail.split(";"))
                for inner in self.of(beyond.effect.object, deep - 1):
                    kind, what, detail = inner.effect
                    detail = objects.bind(detail, args, ())
                    bound = Effect(
                        kind, objects.bind(what, args, ()), gfp.kind(detail) or detail if kind in MASKED else detail
                    )
                    if not any(part.startswith(objects.UNKNOWN) for part in bound):
                        yield Beyond(bound, (*beyond.places, *inner.places))

    def _file(self, path: str) -> Known:
        found = self._files.get(path)
        if found is None:
            blob = self._source.blob(path)
            if blob is None:
                return {}
            if len(self._files) >= MAX_HELPER_FILES:
                self.cuts[Cut("files with functions that the change calls", MAX_HELPER_FILES)] = None
                return {}
            found = self._files[path] = _load(blob) or _read(self._source, path, blob)
        return found

    def called_by(self, program: Program, touched: Iterable[FunctionKey]) -> Program:
        """The program, with what its functions do beyond it: the changed ones (`touched`, keys), and those that they call.

        It is the same program where they call nothing beyond it that does anything.
        """
        near = _near(program, touched)
        asked = {name for key in near for name in _unknown(program, key)}
        if not any(map(self.of, sorted(asked))):
            return program
        return program.reaching(near, self.of)


def _near(program: Program, touched: Iterable[FunctionKey]) -> frozenset[FunctionKey]:
    """The functions that a change is in, and those called from there, a few calls deep."""
    level = [key for key in touched if key in program.names.functions]
    found = dict.fromkeys(level)
    for _ in range(MAX_CALLS_TO_HELPER):
        below = (c for key in level for c in program.callgraph.wiring(key).direct if c in program.callgraph.callees)
        level = [c for c in dict.fromkeys(below) if c not in found]
        found.update(dict.fromkeys(level))
        if len(found) > MAX_NEAR_CHANGE:
            break
    return frozenset(list(found)[:MAX_NEAR_CHANGE])


def _unknown(program: Program, key: FunctionKey) -> Iterator[str]:
    """Names that a function calls and that nothing is known of."""
    path = program.names.file[key]
    for name in program.callgraph.wiring(key).calls:
        if KERNEL.untold(name) and program.names.function(name, path) is None:
            yield name


# --- one file ---------------------------------------------------------------------------------------------------------


def _read(source: Source, path: str, blob: str) -> Known:
    """What the functions of a file do, with the headers that it includes; kept."""
    program = programs.make(source, {path: blob}).reaching(None, _calls)
    found = {
        name_of(key): tuple(_sure(program, key))
        for key in program.functions(path)
        if not program.function(key).static and not program.function(key).unreadable
    }
    with contextlib.suppress(OSError):
        cache.write(_place(blob), [msgspec.msgpack.encode(found)])
    return found


def _calls(name: str) -> tuple[Beyond, ...]:
    """A call as an effect of its own."""
    return (Beyond(Effect(CALL, name, ";".join(f"${i}" for i in range(8))), ()),)


def _sure(program: Program, key: FunctionKey) -> Iterator[Beyond]:
    """What a function does whatever its caller asks for."""
    for effect in program.does(key):
        places: list[Place] = []
        at, inner = key, effect
        while at:
            reason = program.does(at).get(inner)
            if reason is None or reason.gates or not _always(program, at, reason.line):
                break
            places.append(Place(program.names.file[at], reason.line, name_of(at)))
            if not reason.callee or reason.inner is None:
                yield Beyond(effect, tuple(places))
                break
            at, inner = reason.callee, reason.inner


def _always(program: Program, key: FunctionKey, line: int) -> bool:
    """Whether nothing that a caller decides stands before a line: no flag, no argument that has to be NULL."""
    view = program.view(key)
    blocks = {made.block for made in view.made if made.call.line == line}
    return bool(blocks) and any(not _asked(view, block) for block in blocks)


def _asked(view: View, block: int) -> bool:
    parameters = {p.name: p.type.pointers for p in view.body.function.parameters}
    for when, taken in view.dominance.conditions(block):
        found = test(when)
        signs = found.yes if taken else found.no
        value = bare(found.value)
        if isinstance(value, Call) and value.callee in KERNEL.last:
            return True
        if parameters.get(found.key) and not signs & PLUS:
            return True
        if any(isinstance(part, Name) and parameters.get(part.name) == 0 for part in parts(value)):
            return True
    return False


def _place(blob: str) -> Path:
    return cache.folder() / "helpers" / version() / blob


def _load(blob: str) -> Known | None:
    place = _place(blob)
    try:
        found = _DECODER.decode(place.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    cache.used(place)
    return found
