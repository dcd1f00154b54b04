"""Recipes whose other half is in another file of the folder: who holds the spinlock, or which interrupt takes it.

As those of `deadlocks.py`, but a recipe reads the files beside as well. What it plants hangs by construction: a function
sleeps that another file calls with a spinlock held, or a lock that an interrupt handler of another file takes no longer
keeps that away, in a function that turned interrupts off by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from deadlocks import AWAKE, SLEEPS, Planted, Section, SourceFile, called, sections
from recipes import CFunction, Edit, variables
from tree_sitter import Node

Files = Sequence[SourceFile]
_MASKS = {b"spin_lock_irq": b"local_irq_disable", b"spin_lock_bh": b"local_bh_disable"}
_UNMASKS = {b"spin_lock_irq": b"local_irq_enable", b"spin_lock_bh": b"local_bh_enable"}
_HARD = re.compile(rb"\brequest_irq\([^,;]*,\s*(\w+)|\bdevm_request_irq\([^,;]*,[^,;]*,\s*(\w+)")
_SOFT = re.compile(rb"\b(?:timer_setup|tasklet_setup)\([^,;]*,\s*(\w+)|\bnetif_napi_add\w*\([^,;]*,[^,;]*,\s*(\w+)")


def _plain_calls(f: CFunction, statements: Sequence[Node]) -> Iterator[bytes]:
    """Names of what some statements call whatever happens."""
    for statement in statements:
        name, _ = called(f, statement)
        if name:
            yield name


def _first(f: CFunction) -> Node | None:
    """The first statement of a function; None where something may lead past it, or away from it."""
    return next((n for n in f.body.named_children if n.type not in ("comment", "declaration")), None)


def _static(f: CFunction) -> bool:
    return b"static" in f.source[f.node.start_byte : f.body.start_byte]


def _held_over(beside: Files) -> set[bytes]:
    """Functions that are called with a spinlock held, in other files."""
    return {
        name
        for file in beside
        for f in file.functions
        for s in sections(f)
        if s.spins
        for name in _plain_calls(f, s.between)
    }


def _sleeping(operator: str, file: SourceFile, f: CFunction) -> Iterator[Planted]:
    first = _first(f)
    for sleep, awake in zip(SLEEPS, AWAKE, strict=True) if first is not None else ():
        at = first.start_byte
        edits: list[list[Edit]] = [[(at, at, text + b"\n\t")] for text in (sleep, awake)]
        yield file.planted(operator, f, *edits)


def sleep_beside(file: SourceFile, beside: Files) -> Iterator[Planted]:
    """A function sleeps that another file calls with a spinlock held; twin: it does not sleep."""
    held = _held_over(beside)
    for f in file.functions:
        if f.name.encode() in held and not _static(f):
            yield from _sleeping("sleep beside", file, f)


def sleep_two_up(file: SourceFile, beside: Files) -> Iterator[Planted]:
    """The same one call further down, in a function that the one called from there calls."""
    held = _held_over(beside)
    for f in file.functions:
        if f.name.encode() in held and not _static(f):
            names = dict.fromkeys(_plain_calls(f, f.body.named_children[:3]))
            inner = [g for name in names if (g := file.named.get(name.decode())) is not None and _static(g)]
            for g in inner:
                yield from _sleeping("sleep two up", file, g)


def _kinds(f: CFunction) -> dict[bytes, bytes]:
    """Pointers of a function -> the struct that they point to."""
    both = variables(f, f.node) + variables(f, f.body)
    found = {name: re.search(rb"struct (\w+)", type_) for name, type_, pointer, _ in both if pointer}
    return {name: kind[1] for name, kind in found.items() if kind}


def _locks(f: CFunction) -> Iterator[tuple[bytes, bytes, Section]]:
    """Struct, member and section of each spinlock of a function that is a member of what a pointer points to."""
    kinds = _kinds(f)
    for s in sections(f):
        found = re.fullmatch(rb"&(\w+)->(\w+)", s.of)
        if s.spins and found and found[1] in kinds:
            yield kinds[found[1]], found[2], s


def mask_lost(file: SourceFile, beside: Files) -> Iterator[Planted]:
    """A lock that an interrupt handler of another file takes is taken with interrupts on; twin: they are off by a call of
    its own."""
    taken: dict[tuple[bytes, bytes], set[bytes]] = {}
    for other in beside:
        handlers = {
            name: kind
            for kind, pattern in ((b"spin_lock_bh", _SOFT), (b"spin_lock_irq", _HARD))
            for found in pattern.findall(other.source)
            for name in found
            if name
        }
        for f in other.functions:
            if (kind := handlers.get(f.name.encode())) is not None:
                for struct, member, _ in _locks(f):
                    taken.setdefault((struct, member), set()).add(kind)
    for f in file.functions:
        for struct, member, s in _locks(f):
            if s.takes in taken.get((struct, member), set()):
                lock, unlock = ((n.start_byte, n.end_byte) for n in (s.lock, s.unlock))
                plain = b"spin_lock(" + s.of + b");", b"spin_unlock(" + s.of + b");"
                off, on = _MASKS[s.takes] + b"();\n\t" + plain[0], plain[1] + b"\n\t" + _UNMASKS[s.takes] + b"();"
                yield file.planted(
                    "mask lost", f, [(*lock, plain[0]), (*unlock, plain[1])], [(*lock, off), (*unlock, on)]
                )


BESIDE: dict[str, Callable[[SourceFile, Files], Iterator[Planted]]] = {
    "sleep beside": sleep_beside,
    "sleep two up": sleep_two_up,
    "mask lost": mask_lost,
}
BESIDE_NEEDS: dict[str, tuple[bytes, ...]] = {"mask lost": (b"spin_lock_",)}
