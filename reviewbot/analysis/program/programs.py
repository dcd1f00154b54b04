"""Programs by their scope: made once, kept in memory and on disk, and led on to a source in which some files differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reviewbot.analysis.callgraph.components import below
from reviewbot.analysis.code.family import included, scope
from reviewbot.analysis.code.library import Sources, loader, read
from reviewbot.analysis.code.texts import texts
from reviewbot.analysis.program import cache as store
from reviewbot.analysis.program import delta
from reviewbot.analysis.program.program import Program
from reviewbot.csource.cache import Cache
from reviewbot.csource.ir import TranslationUnit
from reviewbot.function_key import FunctionKey
from reviewbot.limits import (
    MAX_FAMILIES_IN_MEMORY,
    MAX_FILES_LED_ON,
    MAX_FILES_NOT_STORED,
    MAX_MEGABYTES_WITH_PROGRAMS,
    MAX_PROGRAMS_OF_FAMILY,
)
from reviewbot.process.memory import megabytes
from reviewbot.types import Source

_recent: dict[str, list[Program]] = {}
_reaching: dict[str, Program] = {}
"""The last program with files beyond its folders."""


def around(source: Source, paths: Iterable[str], more: Iterable[str] = (), near: Iterable[FunctionKey] = ()) -> Program:
    """The program around some files of a source: their families of folders and the headers that these include.

    more: files from elsewhere that belong to it, too. near: the functions that these are read for.
    """
    paths, more = tuple(paths), tuple(more)
    return reaching(source, paths, more, near) if more else find(source, paths)


def led_on(program: Program, source: Source, paths: Iterable[str]) -> Program:
    """The program of the same files in another source that differs from this one's in `paths` at most."""
    return evolved(program, source, {p: source.blob(p) for p in paths if p.endswith((".c", ".h"))})


def find(source: Source, paths: tuple[str, ...]) -> Program:
    """The program around some files of a source."""
    files = scope(paths, source)
    whole = [p for p in paths if p in files]
    release = source.blob("Makefile") or ""  # of another release nearly all files differ
    name = " ".join([release, *sorted({p.rpartition("/")[0] for p in paths})])
    if megabytes() > MAX_MEGABYTES_WITH_PROGRAMS and _recent.keys() - {name}:
        _let_go(but=name)
    programs = _recent.pop(name, None) or [w for w in [store.load(name)] if w is not None]
    differences = [
        (_changed(program, source, files), program) for program in programs if program.steps < MAX_PROGRAMS_OF_FAMILY
    ]
    changed, near = min(differences, key=lambda d: len(d[0]), default=({}, None))
    if near is None or len(changed) > MAX_FILES_LED_ON:
        program = make(source, files)
        programs = [program]
        store.save(name, program)
    else:
        if not changed or near.source is None:
            near.read_from(source)  # the one it was made from may have been closed, and from the disk it has none
        program = evolved(near, source, changed, whole)
        if len(changed) > MAX_FILES_NOT_STORED:
            programs = [program]
            store.save(name, program)
        elif program is not near:
            programs = [programs[0], *programs[1:][-MAX_PROGRAMS_OF_FAMILY + 2 :], program]
    while len(_recent) >= MAX_FAMILIES_IN_MEMORY:
        del _recent[next(iter(_recent))]
    _recent[name] = programs
    return program


def reaching(
    source: Source, paths: tuple[str, ...], more: tuple[str, ...], near: Iterable[FunctionKey] = ()
) -> Program:
    """The program around some files of a source, with `more` files from elsewhere, which are read for the functions `near`;
    these files are in no program on disk."""
    files = {**scope(paths, source), **{p: b for p in more if (b := source.blob(p)) is not None}}
    name = " ".join([source.blob("Makefile") or "", *paths, "with", *more])
    known = _reaching.get(name)
    if known is not None and len(_changed(known, source, files)) <= MAX_FILES_NOT_STORED:
        program = evolved(known, source, _changed(known, source, files), (*paths, *more))
    else:
        known = find(source, paths)
        program = evolved(known, source, _changed(known, source, files), (*paths, *more), near)
    if name not in _reaching:
        _reaching.clear()
        _reaching[name] = program
    return program


def _changed(program: Program, source: Source, files: Mapping[str, str]) -> dict[str, str | None]:
    """Files of a program, and of the scope, that are not in the program as they are in the source."""
    now: dict[str, str | None] = {p: source.blob(p) for p in program.library.blobs if p not in files}
    now.update(files)
    return {p: b for p, b in now.items() if program.library.blobs.get(p) != b}


def forget() -> None:
    """Let go of all programs in memory."""
    _let_go()


def _let_go(but: str = "") -> None:
    kept = _recent.get(but)
    _recent.clear()
    _reaching.clear()
    if kept:
        _recent[but] = kept[:1]


def make(source: Source, files: Mapping[str, str]) -> Program:
    """A program from nothing: all its files are read and linked."""
    cache = Cache()
    units = read(source, files, cache)
    headers, blobs = included(files, units, {}, source, cache)
    nothing = Sources({}, {}, lambda _: TranslationUnit())
    library = nothing.replaced({**units, **headers}, {**files, **blobs}, ())
    library.texts.update(texts(source, {**units, **headers}))
    program = Program(library, files)
    program.read_from(source)
    return program


def evolved(
    program: Program,
    source: Source,
    changed: Mapping[str, str | None],
    whole: Iterable[str] = (),
    near: Iterable[FunctionKey] | None = None,
) -> Program:
    """The program in a source in which some files (path -> blob id, None where it is gone) differ.

    whole: files of which every function counts from now on. near: functions for which files come in from elsewhere; they
    and their callers are looked at again.
    """
    changed = {p: b for p, b in changed.items() if program.library.blobs.get(p) != b}
    present = {p: b for p, b in changed.items() if b is not None}
    gone = {p for p, b in changed.items() if b is None}
    there = (program.library.blobs.keys() | present.keys()) - gone
    wanted = there & (program.whole | set(whole) | {p for p in present if not p.startswith("include/")})
    if not changed and wanted == program.whole:
        return program
    cache = Cache()
    units = read(source, present, cache)
    headers, blobs = included(present, units, program.library.declared, source, cache)
    library = program.library.replaced({**units, **headers}, {**present, **blobs}, gone)
    library.load = loader(source, library.blobs, cache)  # linking asks for bodies already
    library.texts.update(texts(source, {**units, **headers}))
    # a header that comes into the program says what names mean that were unknown to the functions that use them
    callers = program.callgraph.callers
    asking = None if near is None else below(near, lambda key: callers.get(key, ()))
    change = delta.step(program.library, library, {*changed, *blobs}, source, program.callgraph.points_to, asking)
    after = Program(library, wanted, program, change)
    after.read_from(source)
    return after
