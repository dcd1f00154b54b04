"""Recipes that change a C function mechanically: mutants with a guilty line, and refactorings that change nothing.

Each recipe finds the places of a function where it can be done; what it needs of C it asks tree-sitter. Both texts of a
mutant have the same line numbers outside of what is changed: the text before gets an empty line where one is put in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tree_sitter import Node

from reviewbot.csource.parse import Parsed, parse
from reviewbot.kernel import KERNEL

Edit = tuple[int, int, bytes]
_SIMPLE = ("expression_statement", "return_statement", "goto_statement", "break_statement", "continue_statement")
_EXITS = ("return_statement", "goto_statement", "break_statement")
_LOOPS = ("for_statement", "while_statement", "do_statement")
_JUMPS = frozenset({*_EXITS, "continue_statement", "labeled_statement", "case_statement"})
_UNLOCK = frozenset({"unlock", "iunlock"})
_LOCK = frozenset({"lock", "ilock"})
_WAKE = frozenset({"wake", "wakeup", "complete", "endio", "notify"})
_WAIT = frozenset({"flush", "cancel", "wait", "drain", "sync", "synchronize", "quiesce"})
_MASKS = (b"GFP_KERNEL", b"GFP_NOIO", b"GFP_NOFS", b"GFP_ATOMIC", b"GFP_NOWAIT")
_TEXT = re.compile(
    r"print|^(pr|trace|seq)_|^(mem|str)n?(cpy|cmp|set|len|chr|str|move|dup)|_(err|warn|info|dbg|debug|notice|trace)$|^[A-Z_]+$"
)
"""Calls that only say something, or copy and compare."""
_WORD = re.compile(rb"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Recipe:
    """One way to change a function: the texts before and after, and the guilty lines of each (none: nothing changes)."""

    operator: str
    function: str
    before: bytes
    after: bytes
    old_lines: frozenset[int] = frozenset()
    new_lines: frozenset[int] = frozenset()
    helper: str = ""
    """A function that only the text after has."""


@dataclass
class CFunction:
    """A function of a parsed file."""

    parsed: Parsed
    node: Node
    name: str
    _all: list[Node] = field(default_factory=list)

    @property
    def source(self) -> bytes:
        """The text of the file."""
        return self.parsed.text.source

    @property
    def body(self) -> Node:
        """The compound statement."""
        found = self.node.child_by_field_name("body")
        assert found is not None
        return found

    @property
    def nodes(self) -> list[Node]:
        """All nodes of the body, outside first."""
        if not self._all:
            self._all = list(below(self.body))
        return self._all

    def text(self, node: Node) -> bytes:
        """What the file has at a node."""
        return self.source[node.start_byte : node.end_byte]

    def of(self, *types: str) -> list[Node]:
        """The nodes of some types."""
        return [n for n in self.nodes if n.type in types]

    @property
    def void(self) -> bool:
        """Whether it returns nothing."""
        kind, declarator = (self.node.child_by_field_name(n) for n in ("type", "declarator"))
        return kind is not None and self.text(kind) == b"void" and declarator is not None and not _pointer(declarator)


def functions(source: bytes) -> list[CFunction]:
    """The functions of a file that can be read, have no conditionals inside, and stand there once."""
    parsed = parse(source)
    found = []
    for node in below(parsed.tree.root_node, into=lambda n: n.type != "function_definition"):
        if node.type == "function_definition" and not node.has_error and node.child_by_field_name("body"):
            name = next((n for n in below(node) if n.type == "function_declarator"), None)
            at = name.child_by_field_name("declarator") if name else None
            text = parsed.text.source[node.start_byte : node.end_byte]
            if at is not None and at.type == "identifier" and not re.search(rb"^\s*#", text, re.M):
                found.append(CFunction(parsed, node, parsed.text.source[at.start_byte : at.end_byte].decode()))
    names = Counter(f.name for f in found)
    return [f for f in found if names[f.name] == 1]


def below(node: Node, into: Callable[[Node], bool] = lambda _: True) -> Iterator[Node]:
    """A node and all below it, outside first, in the order of the text."""
    todo = [node]
    while todo:
        at = todo.pop()
        yield at
        if at is node or into(at):
            todo += reversed(at.named_children)


def applied(source: bytes, edits: Sequence[Edit]) -> bytes:
    """The text with some ranges replaced."""
    for start, end, new in sorted(edits, reverse=True):
        source = source[:start] + new + source[end:]
    return source


def _lines(*nodes: Node, by: int = 0) -> frozenset[int]:
    return frozenset(n + by for node in nodes for n in range(node.start_point[0] + 1, node.end_point[0] + 2))


def _pointer(declarator: Node) -> bool:
    return any(n.type == "pointer_declarator" for n in below(declarator, into=lambda n: n.type != "parameter_list"))


def _ancestors(node: Node) -> Iterator[Node]:
    at = node.parent
    while at is not None and at.type != "function_definition":
        yield at
        at = at.parent


def _callee(f: CFunction, statement: Node) -> str:
    """The function that a statement calls, where it does nothing else."""
    call = (
        statement.named_children[0] if statement.type == "expression_statement" and statement.named_children else None
    )
    if call is None or call.type != "call_expression":
        return ""
    name = call.child_by_field_name("function")
    return f.text(name).decode() if name is not None and name.type == "identifier" else ""


def _says(name: str, *kinds: frozenset[str]) -> bool:
    words = set(name.lower().split("_"))
    words |= {"unlock" if name.startswith("up_") else "lock" if name.startswith("down_") else ""}
    return bool(words & frozenset().union(*kinds)) and "init" not in words and not _inert(name)


def _inert(name: str) -> bool:
    """Whether a call does nothing that anybody could wait for."""
    return name in KERNEL.inert or name.startswith(KERNEL.inert_starts) or bool(_TEXT.search(name))


def _calls(f: CFunction, *kinds: frozenset[str]) -> list[Node]:
    """Statements that are a call of a function with such a word in its name."""
    return [s for s in f.of("expression_statement") if _says(_callee(f, s), *kinds)]


def _conditions(f: CFunction, at: Node) -> list[bytes]:
    """What can be asked at a place: a member of a pointer parameter, or a parameter, that the function uses."""
    return [name for name, type_, pointer, _ in variables(f, f.node) if not pointer and b"struct" not in type_] + [
        f.text(n)
        for n in f.of("field_expression")
        if _root(f, n) in {name for name, _, pointer, _ in variables(f, f.node) if pointer}
        and n.start_byte < at.start_byte
        and not any(c.type in ("call_expression", "subscript_expression") for c in below(n))
    ]


def _root(f: CFunction, node: Node) -> bytes:
    while node.type == "field_expression":
        inner = node.child_by_field_name("argument")
        if inner is None:
            return b""
        node = inner
    return f.text(node) if node.type == "identifier" else b""


def variables(f: CFunction, where: Node) -> list[tuple[bytes, bytes, bool, Node]]:
    """Name, type, whether a pointer, and declarator of the parameters (of the function) or locals (of a body)."""
    kind = "parameter_declaration" if where.type == "function_definition" else "declaration"
    inside = (lambda n: n.type != "compound_statement") if where.type == "function_definition" else (lambda n: True)
    found = []
    for node in below(where, into=inside):
        type_ = node.child_by_field_name("type")
        if node.type != kind or type_ is None:
            continue
        first = type_.start_byte
        for declarator in node.children_by_field_name("declarator"):
            inner = declarator.child_by_field_name("declarator") if declarator.type == "init_declarator" else declarator
            stars = b""
            while inner is not None and inner.type == "pointer_declarator":
                stars += b"*"
                inner = inner.child_by_field_name("declarator")
            if inner is not None and inner.type == "identifier":
                text = bytes(f.parsed.text.code[first : type_.end_byte]) + b" " + stars
                found.append((f.text(inner), text, bool(stars), declarator))
            elif inner is not None:
                name = next((n for n in below(inner) if n.type == "identifier"), None)
                if name is not None:
                    found.append((f.text(name), b"", True, declarator))  # an array, a pointer to a function
    return found


def _swapped(f: CFunction, operator: str, one: Node, moved: Node) -> Recipe:
    """A statement in the place of its neighbour."""
    first, second = sorted((one, moved), key=lambda n: n.start_byte)
    between = f.source[first.end_byte : second.start_byte]
    text = f.text(second) + between + f.text(first)
    after = applied(f.source, [(first.start_byte, second.end_byte, text)])
    height = {n.id: n.end_point[0] - n.start_point[0] for n in (first, second)}
    down = height[second.id] + between.count(b"\n")
    new = {first.id: down, second.id: -height[first.id] - between.count(b"\n")}
    guilty = [n for n in (one, moved) if n is moved or n.type in _SIMPLE]  # of two statements either was moved
    old_lines = frozenset().union(*(_lines(n) for n in guilty))
    new_lines = frozenset().union(*(_lines(n, by=new[n.id]) for n in guilty))
    return Recipe(operator, f.name, f.source, after, old_lines, new_lines)


def _neighbours(statement: Node) -> list[Node]:
    """Statements beside one, in a block."""
    if statement.parent is None or statement.parent.type != "compound_statement":
        return []
    beside = (statement.prev_named_sibling, statement.next_named_sibling)
    plain = (*_LOOPS, "expression_statement", "if_statement", "switch_statement")
    return [n for n in beside if n is not None and n.type in plain]


def _replaced(f: CFunction, operator: str, node: Node, new: bytes, *guilty: Node) -> Recipe:
    lines = _lines(*(guilty or (node,)))
    new += b"\n" * (f.text(node).count(b"\n") - new.count(b"\n"))
    return Recipe(operator, f.name, f.source, applied(f.source, [(node.start_byte, node.end_byte, new)]), lines, lines)


# --- mutants


def _dropped(operator: str, *kinds: frozenset[str]) -> Callable[[CFunction], Iterator[Recipe]]:
    def recipe(f: CFunction) -> Iterator[Recipe]:
        for statement in _calls(f, *kinds):
            yield _replaced(f, operator, statement, b";")

    return recipe


def _moved(operator: str, *kinds: frozenset[str]) -> Callable[[CFunction], Iterator[Recipe]]:
    def recipe(f: CFunction) -> Iterator[Recipe]:
        for statement in _calls(f, *kinds):
            for other in _neighbours(statement):
                if f.text(other) != f.text(statement) and _acts(f, other):
                    yield _swapped(f, operator, other, statement)

    return recipe


def _acts(f: CFunction, statement: Node) -> bool:
    """Whether others can see what a statement does."""
    for node in below(statement):
        if node.type == "call_expression":
            if not _inert(f.text(node.child_by_field_name("function") or node).decode(errors="replace")):
                return True
        elif node.type == "assignment_expression" and node.named_children[0].type == "field_expression":
            return True
    return False


def guarded(f: CFunction) -> Iterator[Recipe]:
    """A lock, wake-up or flush is done only if something holds."""
    for statement in _calls(f, _LOCK, _UNLOCK, _WAKE, _WAIT):
        for condition in _conditions(f, statement)[:3]:
            new = b"if (" + condition + b") " + f.text(statement)
            yield _replaced(f, "call guarded", statement, new)


def unguarded(f: CFunction) -> Iterator[Recipe]:
    """What was done only if something held is done always."""
    for node in f.of("if_statement"):
        then, condition = node.child_by_field_name("consequence"), node.child_by_field_name("condition")
        if node.child_by_field_name("alternative") is not None or then is None or condition is None:
            continue
        if _acts(f, then) and not any(n.type in _EXITS for n in below(then)):
            height = f.source[node.start_byte : then.start_byte].count(b"\n")
            edit = (node.start_byte, then.start_byte, b"\n\t" * height)
            lines = _lines(condition, *([then] if then.type in _SIMPLE else []))
            yield Recipe("guard dropped", f.name, f.source, applied(f.source, [edit]), lines, lines)


def widened(f: CFunction) -> Iterator[Recipe]:
    """One part of a condition goes."""
    for node in f.of("if_statement", "while_statement"):
        condition = node.child_by_field_name("condition")
        inner = condition.named_children[0] if condition is not None and condition.named_children else None
        if inner is None or condition is None or inner.type != "binary_expression":
            continue
        operator, left = inner.child_by_field_name("operator"), inner.child_by_field_name("left")
        if operator is not None and left is not None and operator.type in ("&&", "||"):
            yield _replaced(f, "condition widened", inner, f.text(left), condition)


def masked(f: CFunction) -> Iterator[Recipe]:
    """An allocation gets another mask."""
    for node in f.of("identifier"):
        call = next((a for a in _ancestors(node) if a.type == "call_expression"), None)
        if call is not None and f.text(node) in _MASKS:
            for mask in _MASKS[:4]:
                if mask != f.text(node):
                    yield _replaced(f, "mask changed", node, mask, call)


def flagged(f: CFunction) -> Iterator[Recipe]:
    """A call gets another flag, number or truth."""
    for call in f.of("call_expression"):
        arguments = call.child_by_field_name("arguments")
        if not _acts(f, call):
            continue
        for arg in arguments.named_children if arguments is not None else ():
            text = f.text(arg)
            if arg.type in ("true", "false"):
                yield _replaced(f, "flag changed", arg, b"false" if text == b"true" else b"true", call)
            elif arg.type == "number_literal":
                yield _replaced(f, "flag changed", arg, b"1" if text == b"0" else b"0", call)
            elif arg.type == "binary_expression" and b"|" in text and text.isupper():
                yield _replaced(f, "flag changed", arg, text.partition(b"|")[0].strip(), call)


def exit_dropped(f: CFunction) -> Iterator[Recipe]:
    """A way out goes, with its condition."""
    for node in f.of("if_statement"):
        if _leaves(node) and node.child_by_field_name("alternative") is None:
            yield _replaced(f, "exit dropped", node, b";")


def _leaves(node: Node) -> bool:
    """Whether an `if` does nothing but to leave."""
    then = node.child_by_field_name("consequence")
    if then is not None and then.type == "compound_statement" and len(then.named_children) == 1:
        then = then.named_children[0]
    return then is not None and then.type in _EXITS


def exit_added(f: CFunction) -> Iterator[Recipe]:
    """A way out is new: to a label, out of a loop, or out of the function."""
    labels = {n.start_byte: f.text(n.named_children[0]) for n in f.of("labeled_statement") if n.named_children}
    kind = f.node.child_by_field_name("declarator")
    value = b"" if f.void else b" NULL" if kind is not None and _pointer(kind) else b" -EIO"
    for statement in f.of("expression_statement"):
        if statement.parent is None or statement.parent.type != "compound_statement":
            continue
        ways = [b"return" + value + b";"]
        ways += [b"goto " + name + b";" for at, name in labels.items() if at > statement.start_byte][:2]
        if any(a.type in _LOOPS for a in _ancestors(statement)):
            ways.append(b"break;")
        at = f.source.rfind(b"\n", 0, statement.start_byte) + 1
        if f.source[at : statement.start_byte].strip():
            continue
        for condition in _conditions(f, statement)[:2]:
            for way in ways:
                before = applied(f.source, [(at, at, b"\n")])
                after = applied(f.source, [(at, at, b"\tif (" + condition + b") " + way + b"\n")])
                line = frozenset((statement.start_point[0] + 1,))
                yield Recipe("exit added", f.name, before, after, line, line)


def exit_turned(f: CFunction) -> Iterator[Recipe]:
    """A way out leads to another place, and something is done between the two."""
    labels = [n for n in f.of("labeled_statement") if n.named_children]
    for node in f.of("goto_statement"):
        above = next((a for a in _ancestors(node) if a.type != "compound_statement"), node)
        guilty = [node]
        condition = above.child_by_field_name("condition") if above.type == "if_statement" else None
        if condition is not None:
            guilty.append(condition)
        old = next((n for n in labels if f.text(n.named_children[0]) == f.text(node.named_children[0])), None)
        for label in labels:
            first, last = sorted((label.start_byte, old.start_byte if old else 0))
            between = [n for n in f.nodes if first <= n.start_byte and n.end_byte <= last]
            if any(n.type == "expression_statement" and _acts(f, n) for n in between):
                new = b"goto " + f.text(label.named_children[0]) + b";"
                yield _replaced(f, "exit turned", node, new, *guilty)
    for node in f.of("break_statement", "continue_statement"):
        above = next((a for a in _ancestors(node) if a.type in (*_LOOPS, "switch_statement")), node)
        if above.type in _LOOPS:
            condition = next((a for a in _ancestors(node) if a.type == "if_statement"), node)
            guilty = [node, *(n for n in [condition.child_by_field_name("condition")] if n is not None)]
            new = b"continue;" if node.type == "break_statement" else b"break;"
            yield _replaced(f, "exit turned", node, new, *guilty)


def exit_moved(f: CFunction) -> Iterator[Recipe]:
    """A way out, with its condition, is before or after its neighbour."""
    for node in f.of("if_statement"):
        if _leaves(node) and node.child_by_field_name("alternative") is None:
            for other in _neighbours(node):
                if other.type == "expression_statement" and _acts(f, other):
                    yield _swapped(f, "exit moved", other, node)


MUTANTS: dict[str, Callable[[CFunction], Iterator[Recipe]]] = {
    "lock dropped": _dropped("lock dropped", _LOCK),
    "unlock dropped": _dropped("unlock dropped", _UNLOCK),
    "wake dropped": _dropped("wake dropped", _WAKE),
    "wait dropped": _dropped("wait dropped", _WAIT),
    "lock moved": _moved("lock moved", _LOCK, _UNLOCK),
    "wake or wait moved": _moved("wake or wait moved", _WAKE, _WAIT),
    "call guarded": guarded,
    "guard dropped": unguarded,
    "condition widened": widened,
    "mask changed": masked,
    "flag changed": flagged,
    "exit dropped": exit_dropped,
    "exit added": exit_added,
    "exit turned": exit_turned,
    "exit moved": exit_moved,
}


# --- refactorings


def renamed(f: CFunction) -> Iterator[Recipe]:
    """A local or parameter gets another name."""
    members = {f.text(n) for n in f.of("field_identifier")}
    for name, type_, _, _ in variables(f, f.body) + variables(f, f.node):
        fresh = b"r_" + name
        if not type_ or name in members or fresh in f.text(f.node) or re.search(rb"[>.]\s*" + name + rb"\b", f.source):
            continue
        uses = [n for n in below(f.node) if n.type == "identifier" and f.text(n) == name]
        if len(uses) == len([1 for w in _WORD.findall(_uncommented(f)) if w == name]):
            after = applied(f.source, [(n.start_byte, n.end_byte, fresh) for n in uses])
            yield Recipe("local renamed", f.name, f.source, after)


def _uncommented(f: CFunction) -> bytes:
    return bytes(f.parsed.text.clean[f.node.start_byte : f.node.end_byte])


def turned(f: CFunction) -> Iterator[Recipe]:
    """`if (c) a; else b;` becomes `if (!c) b; else a;`."""
    for node in f.of("if_statement"):
        condition, then, other = (node.child_by_field_name(n) for n in ("condition", "consequence", "alternative"))
        if condition is None or then is None or other is None or not other.named_children:
            continue
        last = other.named_children[-1]
        if not (_acts(f, then) and _acts(f, last)):
            continue
        new = b"if (!" + f.text(condition) + b") { " + f.text(last) + b" } else { " + f.text(then) + b" }"
        after = applied(f.source, [(node.start_byte, node.end_byte, new)])
        yield Recipe("if/else turned", f.name, f.source, after)


def reordered(f: CFunction) -> Iterator[Recipe]:
    """Two statements that have nothing to do with each other change places."""
    for one in f.of("expression_statement"):
        other = one.next_named_sibling
        if other is None or other.type != "expression_statement" or one.parent is None:
            continue
        if one.parent.type == "compound_statement" and _independent(f, one, other):
            made = _swapped(f, "statements reordered", one, other)
            yield Recipe(made.operator, f.name, made.before, made.after)


def _independent(f: CFunction, one: Node, other: Node) -> bool:
    sets = [_sets(f, s) for s in (one, other)]
    plain = [b"(" not in f.text(s) and b"*" not in f.text(s) for s in (one, other)]
    texts = [_WORD.findall(f.text(s)) for s in (one, other)]
    if all(plain) and all(sets):
        return sets[0] not in texts[1] and sets[1] not in texts[0]
    locals_ = {name for name, type_, _, _ in variables(f, f.body) if type_}
    for i in (0, 1):
        # a local that is given a constant or another local, and anything that does not know of either
        words = set(texts[i])
        if (
            plain[i]
            and sets[i]
            and words <= locals_ | {w for w in words if w.isupper()}
            and b">" not in f.text((one, other)[i])
        ):
            taken = re.search(rb"&\s*(" + b"|".join(words) + rb")\b", f.text(f.body)) if words else None
            return not words & set(texts[1 - i]) and not taken and b"." not in f.text((one, other)[i])
    return False


def _sets(f: CFunction, statement: Node) -> bytes:
    """The name, or the member, that an assignment sets."""
    inner = statement.named_children[0] if statement.named_children else None
    if inner is None or inner.type != "assignment_expression":
        return b""
    left = inner.child_by_field_name("left")
    if left is None or left.type not in ("identifier", "field_expression"):
        return b""
    return f.text(left if left.type == "identifier" else left.named_children[-1])


def extracted(f: CFunction) -> Iterator[Recipe]:
    """A run of statements becomes a function of its own."""
    for block in f.of("compound_statement"):
        statements = [n for n in block.named_children if n.type != "comment"]
        for first in range(len(statements)):
            for last in range(first, min(first + 6, len(statements))):
                made = _extracted(f, statements[first : last + 1])
                if made is not None:
                    yield made


def _extracted(f: CFunction, run: Sequence[Node]) -> Recipe | None:
    inside = [n for s in run for n in below(s)]
    kinds = {n.type for n in inside}
    text = f.source[run[0].start_byte : run[-1].end_byte]
    if "call_expression" not in kinds or "declaration" in kinds or re.search(rb"\b(guard|__free|\w*irqsave)\b", text):
        return None
    if any(n.type in _JUMPS and not _own_jump(n, run) for n in inside) or {"case_statement"} & kinds:
        return None
    known = variables(f, f.body) + variables(f, f.node)
    names = [name for name, *_ in known]
    if len(set(names)) != len(names) or _macro_locals(f, set(names)) & {f.text(n) for n in inside}:
        return None
    return _helper(f, run, inside, known)


def _own_jump(node: Node, run: Sequence[Node]) -> bool:
    """Whether a break or continue stays inside of the run."""
    if node.type not in ("break_statement", "continue_statement"):
        return False
    for above in _ancestors(node):
        if above.type in _LOOPS or (above.type == "switch_statement" and node.type == "break_statement"):
            return True
        if above.id in {s.id for s in run}:
            return False
    return False


def _macro_locals(f: CFunction, names: set[bytes]) -> set[bytes]:
    """Names that a macro in capitals may declare."""
    calls = [n for n in f.of("call_expression", "macro_type_specifier") if f.text(n).partition(b"(")[0].isupper()]
    return {f.text(n) for call in calls for n in below(call) if n.type == "identifier"} - names


def _helper(
    f: CFunction, run: Sequence[Node], inside: Sequence[Node], known: Sequence[tuple[bytes, bytes, bool, Node]]
) -> Recipe | None:
    start, end = run[0].start_byte, run[-1].end_byte
    parameters = {name for name, *_ in variables(f, f.node)}
    uses = [n for n in inside if n.type == "identifier"]
    elsewhere = [n for n in f.nodes if n.type == "identifier" and not start <= n.start_byte < end]
    in_loop = any(a.type in _LOOPS for a in _ancestors(run[0]))
    given: list[tuple[bytes, bytes, bytes]] = []  # what stands in the call, type, name
    own: list[bytes] = []
    outs: set[bytes] = set()
    result: tuple[bytes, bytes] | None = None
    for name, type_, pointer, declarator in known:
        if not any(f.text(n) == name for n in uses):
            continue
        written = any(_written(f, n) for n in uses if f.text(n) == name)
        outside = any(f.text(n) == name and not _declares(n) for n in elsewhere)
        if not type_ or (not pointer and (b"struct" in type_ or b"union" in type_)):
            return None
        if not outside and declarator.type != "init_declarator" and name not in parameters:
            own.append(type_ + name + b";")
        elif not written:
            given.append((name, type_, name))
        elif not outside:
            if in_loop:
                return None
            given.append((name, type_, name))
        elif result is None and not any(_address(n) for n in uses if f.text(n) == name):
            result = name, type_
        else:
            outs.add(name)
    if len(outs) > 2:
        return None
    if outs and result is not None:
        outs.add(result[0])
        result = None
    types = {name: type_ for name, type_, *_ in known}
    given += [(b"&" + name, types[name] + b"*", name) for name in sorted(outs)]
    text = f.source[start:end]
    edits = [(n.start_byte - start, n.end_byte - start, b"(*" + f.text(n) + b")") for n in uses if f.text(n) in outs]
    body = applied(text, edits)
    call = b"extracted_part(" + b", ".join(argument for argument, _, _ in given) + b")"
    if result is not None:
        name, type_ = result
        if _sets(f, run[0]) == name and f.text(run[0]).count(name) == 1:
            own.append(type_ + name + b";")
        else:
            given.append((name, type_, name))
        call = name + b" = extracted_part(" + b", ".join(argument for argument, _, _ in given) + b")"
        body += b"\n\treturn " + name + b";"
    kind = result[1] if result is not None else b"void "
    signature = b", ".join(type_ + name for _, type_, name in given) or b"void"
    helper = b"static " + kind + b"extracted_part(" + signature + b")\n{\n\t" + b"\n\t".join([*own, body]) + b"\n}\n\n"
    at = f.node.start_byte
    edits = [(start, end, call + b";"), (at, at, helper)]
    return Recipe("function extracted", f.name, f.source, applied(f.source, edits), helper="extracted_part")


def _written(f: CFunction, node: Node) -> bool:
    parent = node.parent
    if parent is None:
        return False
    if parent.type == "assignment_expression":
        left = parent.child_by_field_name("left")
        return left is not None and left.id == node.id
    loop = next((a for a in _ancestors(node) if a.type.endswith("statement")), None)
    macro = loop is not None and loop.type in _LOOPS and b"each" in f.text(loop).partition(b"(")[0]
    return parent.type == "update_expression" or _address(node) or (macro and parent.type != "field_expression")


def _address(node: Node) -> bool:
    return node.parent is not None and node.parent.type == "pointer_expression" and node.parent.children[0].type == "&"


def _declares(node: Node) -> bool:
    """Whether a name stands where it is declared, without a value."""
    above = next(
        (a for a in _ancestors(node) if a.type in ("declaration", "init_declarator", "compound_statement")), node
    )
    return above.type == "declaration"


REFACTORINGS: dict[str, Callable[[CFunction], Iterator[Recipe]]] = {
    "local renamed": renamed,
    "function extracted": extracted,
    "statements reordered": reordered,
    "if/else turned": turned,
}
