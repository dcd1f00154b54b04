"""Programs on disk: what was found out about the files of a scope, so that the next run starts from there.

One file per scope, below a folder for this version of the code and of the kernel's knowledge. It may be of another state
of the files: the program is led on from there. A file that is torn or foreign counts for nothing, and so does a disk
that cannot be written to.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from reviewbot.analysis.callgraph.contexts import ExecutionContext
from reviewbot.analysis.callgraph.pointer_flow import FlowConstraints
from reviewbot.analysis.code.library import Sources
from reviewbot.analysis.code.memo import Before, Given
from reviewbot.analysis.code.tags import Tags
from reviewbot.analysis.code.texts import TextDigest
from reviewbot.analysis.events.kinds import KINDS, AnyFact, Fact
from reviewbot.analysis.locks.lockset import Locksets
from reviewbot.analysis.locks.lockset_summary import LockSummary
from reviewbot.analysis.program.lazy_map import LazyMap
from reviewbot.analysis.program.program import Program, StoredProgram
from reviewbot.analysis.summaries.effect_summary import Effect, Provenance
from reviewbot.csource.cache import version as csource_version
from reviewbot.csource.ir import TranslationUnit
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.process import cache


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The file: a few small tables, and sections that are decoded when they are asked for."""

    blobs: dict[str, str]
    whole: tuple[str, ...]
    texts: dict[str, memoryview]
    declared: dict[str, memoryview]
    tags: memoryview
    points_to: memoryview
    order: memoryview
    types: memoryview
    records: memoryview
    choices: memoryview
    facts: memoryview
    kinds: memoryview
    effects: memoryview
    unsettled: tuple[FunctionKey, ...]
    contexts: memoryview


class _Ways(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Contexts by function: chains are numbers of functions."""

    keys: tuple[FunctionKey, ...]
    found: dict[FunctionKey, memoryview]


_ENCODER = msgspec.msgpack.Encoder()
_STORED = msgspec.msgpack.Decoder(Stored)
_TEXT = msgspec.msgpack.Decoder(TextDigest)
_UNIT = msgspec.msgpack.Decoder(TranslationUnit)
_TAGS = msgspec.msgpack.Decoder(Tags)
_POINTS_TO = msgspec.msgpack.Decoder(dict[FunctionKey, FlowConstraints])
_ORDER = msgspec.msgpack.Decoder(list[list[FunctionKey]])
_TYPES = msgspec.msgpack.Decoder(dict[FunctionKey, frozenset[str]])
_PARTS = msgspec.msgpack.Decoder(dict[str, memoryview])
_RECORDS = msgspec.msgpack.Decoder(list[tuple[Given, LockSummary]])
_CHOICES = msgspec.msgpack.Decoder(dict[FunctionKey, tuple[tuple[str, str], ...]])
_FACTS = msgspec.msgpack.Decoder(tuple[AnyFact, ...])
_NAMED = msgspec.msgpack.Decoder(dict[str, tuple[FunctionKey, ...]])
_WAYS = msgspec.msgpack.Decoder(_Ways)
_ENTERED = msgspec.msgpack.Decoder(list[tuple[str, str, str, list[int]]])
_EFFECTS = msgspec.msgpack.Decoder(list[tuple[Given, list[tuple[Effect, Provenance]]]])


def save(name: str, program: Program) -> None:
    """Keep a program under the name of its scope; finds out what it lacks first."""
    program.effects.all()
    with contextlib.suppress(OSError):
        cache.write(_path(name), _encoded(program))


def _encoded(program: Program) -> Iterator[bytes]:
    """A Stored, field by field in its order: they need not all be in memory at the same time."""
    keys = list(program.functions())
    yield bytes([0x90 | len(Stored.__struct_fields__)])  # msgpack: an array of so many, at most 15
    yield _packed(program.library.blobs)
    yield _packed(sorted(program.whole))
    yield _packed({path: _packed(text) for path, text in program.library.texts.items()})
    yield _packed({path: _packed(unit) for path, unit in program.library.declared.items()})
    yield _section(program.names.tags)
    yield _section(program.callgraph.points_to)
    yield _section(program.callgraph.order)
    yield _section(program.callgraph.types)
    yield _section({key: _packed(list(program.locksets.records.of(key).items())) for key in keys})
    yield _section(program.locksets.choices)
    yield _section({key: _packed(found) for key, found in program.events.all().items() if found})
    yield _section({kind.__name__: of_kind for kind, of_kind in program.events.kinds.items()})
    yield _section({key: _packed(program.effects.parts(key)) for key in keys})
    yield _packed(sorted(program.effects.unsettled))
    yield _section(_numbered(program.contexts.all()))


def _packed(value: object) -> bytes:
    return _ENCODER.encode(value)


def _section(value: object) -> bytes:
    return _packed(_packed(value))


def load(name: str) -> Program | None:
    """The program that was kept for a scope, in whatever state its files were; None without a usable one."""
    path = _path(name)
    try:
        stored = _STORED.decode(path.read_bytes())
        library = Sources(LazyMap(stored.declared, _UNIT.decode), stored.blobs, lambda _: TranslationUnit())
        library.texts = LazyMap(stored.texts, _TEXT.decode)
        program = Program(library, stored.whole, kept=_Sections(stored))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    cache.used(path)
    return program


class _Sections(StoredProgram):
    """The parts of a stored program."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def tags(self) -> Tags:
        """Where names are declared."""
        return _TAGS.decode(self._stored.tags)

    def points_to(self) -> Mapping[FunctionKey, FlowConstraints]:
        """What each function does with functions."""
        return _POINTS_TO.decode(self._stored.points_to)

    def order(self) -> list[list[FunctionKey]]:
        """Functions that call one another in a cycle, callees first."""
        return _ORDER.decode(self._stored.order)

    def types(self) -> Mapping[FunctionKey, frozenset[str]]:
        """Types of the variables of some functions."""
        return _TYPES.decode(self._stored.types)

    def locksets(self, program: Program) -> Locksets:
        """Lock records."""
        parts = _PARTS.decode(self._stored.records)
        choices = _CHOICES.decode(self._stored.choices)
        return Locksets.restored(
            program.callgraph, lambda key: dict(_RECORDS.decode(parts[key])) if key in parts else {}, choices
        )

    def facts(self) -> Before[tuple[Fact, ...]]:
        """Facts of each function."""
        parts = _PARTS.decode(self._stored.facts)
        return lambda key: {(): _FACTS.decode(parts[key]) if key in parts else ()}

    def kinds(self) -> Mapping[type[Fact], tuple[FunctionKey, ...]]:
        """Which functions have facts of a kind."""
        return {KINDS[name]: keys for name, keys in _NAMED.decode(self._stored.kinds).items()}

    def effects(self) -> Before[dict[Effect, Provenance]]:
        """Effects of each function."""
        parts = _PARTS.decode(self._stored.effects)

        def known(key: FunctionKey) -> dict[Given, dict[Effect, Provenance]]:
            return {g: dict(found) for g, found in _EFFECTS.decode(parts[key])} if key in parts else {}

        return known

    def unsettled(self) -> tuple[FunctionKey, ...]:
        """Functions whose effects are not all of them."""
        return self._stored.unsettled

    def contexts(self) -> Mapping[FunctionKey, tuple[ExecutionContext, ...]]:
        """Contexts of each function."""
        ways = _WAYS.decode(self._stored.contexts)
        keys = ways.keys

        def opened(part: memoryview) -> tuple[ExecutionContext, ...]:
            return tuple(
                ExecutionContext(context, runner, slot, tuple(keys[n] for n in chain))
                for context, runner, slot, chain in _ENTERED.decode(part)
            )

        return LazyMap(ways.found, opened)


def _numbered(contexts: Mapping[FunctionKey, tuple[ExecutionContext, ...]]) -> _Ways:
    numbers = {key: number for number, key in enumerate(contexts)}
    return _Ways(
        tuple(numbers),
        {
            key: memoryview(_packed([(*e[:3], [numbers[k] for k in e.chain]) for e in found]))
            for key, found in contexts.items()
        },
    )


@functools.cache
def version() -> str:
    """Changes with the code that a stored program depends on, and with the kernel's knowledge. Questions are asked of
    programs: they leave nothing in them."""
    digest = hashlib.sha1(f"{csource_version()} {KERNEL.digest}".encode(), usedforsecurity=False)
    room = Path(str(files("reviewbot.analysis")))
    for file in sorted(room.rglob("*.py")):
        if room / "questions" not in file.parents:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _path(name: str) -> Path:
    scope = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return cache.folder() / "worlds" / version() / scope
