"""Recipes that plant a deadlock into a real C function, each with a harmless twin at the same place.

A recipe finds its places in the text of one file. What it plants hangs by construction, whatever the rest of the file does:
a lock is left or taken twice, code sleeps with a spinlock held, work waits for its own end, a completion that somebody
sleeps for without a timeout is gone. The twin differs by a word or a line, and hangs nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from recipes import CFunction, Edit, applied, below, functions, variables
from tree_sitter import Node

PAIRS = {
    b"mutex_lock": b"mutex_unlock",
    b"down_write": b"up_write",
    b"down_read": b"up_read",
    b"spin_lock": b"spin_unlock",
    b"spin_lock_bh": b"spin_unlock_bh",
    b"spin_lock_irq": b"spin_unlock_irq",
    b"spin_lock_irqsave": b"spin_unlock_irqrestore",
}
LOCK_TYPES = {b"mutex": b"struct mutex", b"down": b"struct rw_semaphore", b"spin": b"spinlock_t"}
SLEEPS = (b"msleep(1);", b"kfree(kmalloc(8, GFP_KERNEL));", b"synchronize_rcu();", b"cond_resched();")
AWAKE = (b"udelay(1);", b"kfree(kmalloc(8, GFP_ATOMIC));", b"smp_mb();", b"cpu_relax();")
_WORK = re.compile(rb"\bINIT_(?:DELAYED_)?WORK\(&(\w+)->(\w+),\s*(\w+)\)")
_CONTAINER = re.compile(rb"struct (\w+) \*(\w+)\s*=\s*container_of\((?:work|\w+), struct \1,\s*(\w+)\)")


@dataclass(frozen=True)
class Planted:
    """A deadlock and its twin: the texts of the file, by what was done in which function."""

    operator: str
    function: str
    before: bytes
    after: bytes
    twin: bytes


@dataclass(frozen=True)
class Section:
    """A lock and its unlock as statements of one block, with the statements between them."""

    lock: Node
    unlock: Node
    between: tuple[Node, ...]
    takes: bytes
    """Name of the call that locks."""
    of: bytes
    """Its first argument."""

    @property
    def spins(self) -> bool:
        """Whether the holder may not sleep."""
        return self.takes.startswith(b"spin")


class SourceFile:
    """A file with its functions, where each name stands for one of them."""

    def __init__(self, source: bytes) -> None:
        self.functions = functions(source)
        self.source = self.functions[0].source if self.functions else source

    @cached_property
    def named(self) -> dict[str, CFunction]:
        """Functions by name."""
        return {f.name: f for f in self.functions}

    @cached_property
    def works(self) -> dict[bytes, bytes]:
        """Members that are work items with the one handler that each gets."""
        found: dict[bytes, set[bytes]] = {}
        for _, member, handler in _WORK.findall(self.source):
            found.setdefault(member, set()).add(handler)
        return {member: handlers.pop() for member, handlers in found.items() if len(handlers) == 1}

    def planted(self, operator: str, f: CFunction, bad: Sequence[Edit], good: Sequence[Edit]) -> Planted:
        """What two lists of edits make of the file."""
        return Planted(operator, f.name, self.source, applied(self.source, bad), applied(self.source, good))


def called(f: CFunction, statement: Node) -> tuple[bytes, tuple[bytes, ...]]:
    """Name and arguments of the call that a statement is; an empty name for anything else."""
    if statement.type != "expression_statement" or not statement.named_children:
        return b"", ()
    call = statement.named_children[0]
    name, given = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    if call.type != "call_expression" or name is None or given is None or name.type != "identifier":
        return b"", ()
    return f.text(name), tuple(f.text(n) for n in given.named_children)


def sections(f: CFunction) -> Iterator[Section]:
    """Locks of a function that are given back in the same block, once in the whole function, with code between."""
    for block in f.of("compound_statement"):
        statements = [n for n in block.named_children if n.type != "comment"]
        for at, lock in enumerate(statements):
            takes, given = called(f, lock)
            if takes not in PAIRS:
                continue
            ends = [n for n in statements[at + 1 :] if called(f, n) == (PAIRS[takes], given)]
            if len(ends) == 1 and f.text(f.body).count(PAIRS[takes] + b"(" + given[0]) == 1:
                between = tuple(statements[at + 1 : statements.index(ends[0])])
                if between and all(f.text(n).count(given[0]) == 0 for n in between):
                    yield Section(lock, ends[0], between, takes, given[0])


def _before(node: Node, text: bytes) -> Edit:
    return node.start_byte, node.start_byte, text + b"\n\t"


def unlock_dropped(file: SourceFile) -> Iterator[Planted]:
    """The unlock goes; twin: it moves into a function of its own."""
    for f in file.functions:
        for s in sections(f):
            kind = LOCK_TYPES[re.split(rb"_", s.takes)[0]]
            if s.takes.endswith(b"irqsave"):
                continue
            helper = b"static void planted_release(" + kind + b" *lock)\n{\n\t" + PAIRS[s.takes] + b"(lock);\n}\n\n"
            at = (s.unlock.start_byte, s.unlock.end_byte)
            top = f.node.start_byte
            yield file.planted(
                "unlock dropped",
                f,
                [(*at, b";")],
                [(*at, b"planted_release(" + s.of + b");"), (top, top, helper)],
            )


def _exit(f: CFunction, at: Node) -> bytes:
    """A way out of the function that depends on something that can be asked there; empty where there is none."""
    kind = f.node.child_by_field_name("type")
    pointers = [name for name, type_, pointer, _ in variables(f, f.node) if pointer and type_]
    members = [
        f.text(n)
        for n in f.of("field_expression")
        if n.parent is not None
        and n.parent.type not in ("field_expression", "call_expression", "pointer_expression")
        and f.text(n).split(b"->")[0] in pointers
        and not re.search(rb"[(\[]", f.text(n))
        and n.start_byte < at.start_byte
    ]
    if not members or kind is None:
        return b""
    if f.void:
        return b"if (!" + members[0] + b")\n\t\treturn;"
    returned = f.text(kind) == b"int" and b"*" not in f.source[kind.end_byte : f.body.start_byte].split(b"(")[0]
    return b"if (!" + members[0] + b")\n\t\treturn -EINVAL;" if returned else b""


def exit_added(file: SourceFile) -> Iterator[Planted]:
    """The function returns early with the lock held; twin: before it is taken."""
    for f in file.functions:
        for s in sections(f):
            alone = b"lock" not in f.source[f.body.start_byte : s.lock.start_byte]  # else the twin leaves another one
            if alone and (text := _exit(f, s.lock)):
                yield file.planted("exit added", f, [_before(s.unlock, text)], [_before(s.lock, text)])


def locked_twice(file: SourceFile) -> Iterator[Planted]:
    """The lock is taken once more; twin: tried."""
    for f in file.functions:
        for s in sections(f):
            if s.takes in (b"mutex_lock", b"spin_lock", b"down_write"):
                give = PAIRS[s.takes] + b"(" + s.of + b");"
                tried = s.takes.replace(b"_lock", b"_trylock").replace(b"_write", b"_write_trylock")
                yield file.planted(
                    "locked twice",
                    f,
                    [_before(s.unlock, s.takes + b"(" + s.of + b");\n\t" + give)],
                    [_before(s.unlock, b"if (" + tried + b"(" + s.of + b"))\n\t\t" + give)],
                )


def locked_around(file: SourceFile) -> Iterator[Planted]:
    """A caller takes the lock that the function takes; twin: and gives it back before the call."""
    takers: dict[bytes, tuple[bytes, bytes]] = {}
    for f in file.functions:
        first = next((name for name, _, pointer, _ in variables(f, f.node) if pointer), b"")
        for s in sections(f):
            found = re.fullmatch(rb"&" + re.escape(first) + rb"->(\w+)", s.of) if first else None
            if found and s.takes in (b"mutex_lock", b"down_write") and s.lock.parent == f.body:
                takers[f.name.encode()] = s.takes, found[1]
    for g in file.functions:
        for call in g.of("expression_statement"):
            name, given = called(g, call)
            if name in takers and given and re.fullmatch(rb"\w+", given[0]) and b"lock" not in g.text(g.body):
                takes, member = takers[name]
                lock, give = (part + b"(&" + given[0] + b"->" + member + b");" for part in (takes, PAIRS[takes]))
                end = (call.end_byte, call.end_byte, b"\n\t" + give)
                block = call.parent is not None and call.parent.type == "compound_statement"
                if block:
                    yield file.planted(
                        "locked around", g, [_before(call, lock), end], [_before(call, lock + b"\n\t" + give)]
                    )


def sleep_added(file: SourceFile) -> Iterator[Planted]:
    """Code sleeps with a spinlock held; twin: it does not sleep."""
    for f in file.functions:
        for s in sections(f):
            if s.spins:
                for sleep, awake in zip(SLEEPS, AWAKE, strict=True):
                    yield file.planted("sleep added", f, [_before(s.unlock, sleep)], [_before(s.unlock, awake)])


def sleep_kept(file: SourceFile) -> Iterator[Planted]:
    """A spinlock is given back only after a call that sleeps; twin: it is given back before, and a call that does not
    sleep follows."""
    sleeps = re.compile(rb"\b(mutex_lock|msleep|down_(read|write)|wait_for_completion|GFP_KERNEL|flush_work)\b")
    for f in file.functions:
        for s in sections(f):
            after = s.unlock.next_named_sibling
            if s.spins and after is not None and after.type == "expression_statement" and sleeps.search(f.text(after)):
                moved = f.text(after) + b"\n\t" + f.text(s.unlock)
                kept = f.text(s.unlock) + b"\n\tcpu_relax();\n\t" + f.text(after)
                span = (s.unlock.start_byte, after.end_byte)
                yield file.planted("sleep kept", f, [(*span, moved)], [(*span, kept)])


def mask_widened(file: SourceFile) -> Iterator[Planted]:
    """An allocation with a spinlock held may sleep now; twin: another mask that may not."""
    for f in file.functions:
        for s in sections(f):
            for inner in (n for statement in s.between for n in below(statement) if s.spins):
                if inner.type == "identifier" and f.text(inner) == b"GFP_ATOMIC":
                    span = (inner.start_byte, inner.end_byte)
                    yield file.planted("mask widened", f, [(*span, b"GFP_KERNEL")], [(*span, b"GFP_NOWAIT")])


def self_flush(file: SourceFile) -> Iterator[Planted]:
    """A work item waits for its own end; twin: it only takes itself off the queue."""
    for f in file.functions:
        for _, object_, member in _CONTAINER.findall(f.text(f.body)):
            if file.works.get(member) == f.name.encode() and f.body.named_children:
                last = f.body.named_children[-1]
                if last.type in ("expression_statement", "return_statement"):
                    work = b"(&" + object_ + b"->" + member
                    delayed = b"INIT_DELAYED_WORK(" in file.source and re.search(
                        rb"INIT_DELAYED_WORK\(&\w+->" + member + rb"\b", file.source
                    )
                    of = work + (b".work" if delayed else b"") + b");"
                    yield file.planted(
                        "self flush",
                        f,
                        [_before(last, b"cancel_work_sync" + of)],
                        [_before(last, b"cancel_work" + of)],
                    )


def flush_locked(file: SourceFile) -> Iterator[Planted]:
    """Work is cancelled with a mutex held that its handler takes; twin: before the mutex is taken."""
    takes: dict[tuple[bytes, bytes], bytes] = {}
    for f in file.functions:
        for kind, object_, member in _CONTAINER.findall(f.text(f.body)):
            for s in sections(f):
                if file.works.get(member) == f.name.encode() and s.takes == b"mutex_lock" and s.lock.parent == f.body:
                    found = re.fullmatch(rb"&" + object_ + rb"->(\w+)", s.of)
                    if found:
                        takes[kind, found[1]] = member
    for g in file.functions:
        for s in sections(g):
            found = re.fullmatch(rb"&(\w+)->(\w+)", s.of)
            types = {name: type_ for name, type_, *_ in variables(g, g.node) + variables(g, g.body)}
            kind = re.search(rb"struct (\w+)", types.get(found[1], b"")) if found else None
            member = takes.get((kind[1], found[2])) if found and kind else None
            if found and member and s.takes == b"mutex_lock" and g.name.encode() != file.works[member]:
                delayed = re.search(rb"INIT_DELAYED_WORK\(&\w+->" + member + rb"\b", file.source)
                cancel = (b"cancel_delayed_work_sync" if delayed else b"cancel_work_sync") + b"(&"
                cancel += found[1] + b"->" + member + b");"
                yield file.planted("flush locked", g, [_before(s.unlock, cancel)], [_before(s.lock, cancel)])


def completion_dropped(file: SourceFile) -> Iterator[Planted]:
    """The only complete() of what somebody waits for goes; twin: it becomes complete_all()."""
    waited = set(re.findall(rb"\bwait_for_completion\(&\w+->(\w+)\)", file.source))
    for f in file.functions:
        for statement in f.of("expression_statement"):
            name, given = called(f, statement)
            member = given[0].rpartition(b"->")[2] if given else b""
            if name == b"complete" and member in waited:
                ends = re.findall(rb"\bcomplete(?:_all)?\([^;]*\b" + member + rb"\)", file.source)
                if len(ends) == 1:
                    span = (statement.start_byte, statement.end_byte)
                    text = b"complete_all(" + given[0] + b");"
                    yield file.planted("completion dropped", f, [(*span, b";")], [(*span, text)])


def order_turned(file: SourceFile) -> Iterator[Planted]:
    """Two locks that another function takes too are taken the other way round; twin: they are given back the other way
    round."""
    nested: dict[tuple[bytes, bytes], list[tuple[CFunction, Section, Section]]] = {}
    for f in file.functions:
        found = [s for s in sections(f) if s.takes in (b"mutex_lock", b"down_write", b"spin_lock")]
        for outer in found:
            for inner in found:
                inside = outer.lock.start_byte < inner.lock.start_byte < outer.unlock.start_byte
                if inside and all(re.fullmatch(rb"&\w+->\w+", s.of) for s in (outer, inner)):
                    members = outer.of.rpartition(b"->")[2], inner.of.rpartition(b"->")[2]
                    nested.setdefault(members, []).append((f, outer, inner))
    for places in nested.values():
        if len({f.name for f, *_ in places}) < 2 or len({o.takes + i.takes for _, o, i in places}) > 1:
            continue
        for f, outer, inner in places:
            if outer.lock.next_named_sibling == inner.lock and inner.unlock.next_named_sibling == outer.unlock:
                spans = [(n.start_byte, n.end_byte) for n in (outer.lock, inner.lock, outer.unlock, inner.unlock)]
                texts = [f.text(n) for n in (outer.lock, inner.lock, outer.unlock, inner.unlock)]
                bad = [(*spans[0], texts[1]), (*spans[1], texts[0])]
                good = [(*spans[2], texts[3]), (*spans[3], texts[2])]
                yield file.planted("order turned", f, bad, good)


NEEDS: dict[str, tuple[bytes, ...]] = {
    "sleep added": (b"spin_lock",),
    "sleep kept": (b"spin_lock",),
    "mask widened": (b"spin_lock", b"GFP_ATOMIC"),
    "self flush": (b"_WORK(&", b"container_of("),
    "flush locked": (b"_WORK(&", b"container_of(", b"mutex_lock(&"),
    "completion dropped": (b"wait_for_completion(&",),
}
"""What the text of a file has to have for a recipe: most files need not be parsed."""
DEADLOCKS: dict[str, Callable[[SourceFile], Iterator[Planted]]] = {
    "unlock dropped": unlock_dropped,
    "exit added": exit_added,
    "locked twice": locked_twice,
    "locked around": locked_around,
    "sleep added": sleep_added,
    "sleep kept": sleep_kept,
    "mask widened": mask_widened,
    "self flush": self_flush,
    "flush locked": flush_locked,
    "completion dropped": completion_dropped,
    "order turned": order_turned,
}
