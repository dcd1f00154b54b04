"""guard(), scoped_guard(), CLASS(), __free(): what their scopes call on entry and on every way out.

Source: include/linux/cleanup.h; which class calls what is in `kernel/syntax.toml`.
"""

from __future__ import annotations

import re

from tree_sitter import Node

from reviewbot.csource.expressions import Expressions
from reviewbot.csource.graph import Draft
from reviewbot.csource.ir import AddressOf, Assign, Call, CallEvent, Expr, Name, Type
from reviewbot.csource.syntax import Guard
from reviewbot.csource.text import SourceText

Leave = tuple[CallEvent, ...]
"""The guards that hold at a place, outermost first: what runs when their scope is left, in reverse."""

SCOPED = re.compile(rb"\s*(?:\w+\s+)*?(__free|__cleanup)\s*\(\s*(\w+)\s*\)")


class Guards(Expressions):
    """Keeps what has to be called when scopes are left."""

    def __init__(self, text: SourceText, first_line: int = 1) -> None:
        super().__init__(text, first_line)
        self.guards: Leave = ()
        self.breaks: list[tuple[Draft, Leave]] = []
        self.continues: list[tuple[Draft, Leave]] = []

    # --- scopes ------------------------------------------------------------------------------------------------------

    @staticmethod
    def left(here: Leave, there: Leave) -> list[CallEvent]:
        """What runs on the way from where `here` holds to where `there` holds."""
        common = 0
        while common < min(len(here), len(there)) and here[common] is there[common]:
            common += 1
        return list(reversed(here[common:]))

    def leave_to(self, guards: Leave) -> None:
        """Emit what runs when the scopes inside `guards` are left."""
        for event in self.left(self.guards, guards):
            self.graph.emit(event)

    def hold(self, callee: str, args: tuple[Expr, ...], line: int, text: str) -> None:
        """From here to the end of the scope there is a call to make on leaving it."""
        self.guards = (*self.guards, CallEvent(Call(callee, None, args, line, text), "leave"))

    # --- guards ------------------------------------------------------------------------------------------------------

    def guard_statement(self, node: Node) -> bool:
        """`guard(class)(args)`, `CLASS(class, name)(args)`, `ACQUIRE(class, name)(args)`: true if it was one."""
        inner = node.child_by_field_name("function") if node.type == "call_expression" else None
        if inner is None or inner.type != "call_expression":
            return False
        word = inner.child_by_field_name("function")
        given, listed = inner.child_by_field_name("arguments"), node.child_by_field_name("arguments")
        if word is None or given is None or listed is None or not given.named_children:
            return False
        macro = self.read(word)
        names = [self.read(argument) for argument in given.named_children]
        line, text = self.line(node), self.short(node, 200)
        if macro == "guard":
            args = tuple(self.expr(argument) for argument in listed.named_children)
            guard = self.guard(names[0])
            self.enter(guard, args, line, text)
            self.hold(guard.leave, args, line, text)
            return True
        if macro not in ("CLASS", "ACQUIRE") or len(names) != 2:
            return False
        args = tuple(self.expr(argument) for argument in listed.named_children)
        guard = self.guard(names[0]) if macro == "ACQUIRE" else class_of(names[0])
        call = self.enter(guard, args, line, text)
        variable = Name(self.declare(names[1], Type(f"class_{names[0]}_t"), line))
        self.graph.emit(Assign(variable, call, line))
        self.hold(guard.leave, args if macro == "ACQUIRE" else (variable,), line, text)
        return True

    def guard(self, name: str) -> Guard:
        """What a guard's class calls."""
        return self.table.guards.get(name) or class_of(name)

    def enter(self, guard: Guard, args: tuple[Expr, ...], line: int, text: str) -> Call:
        """Emit the call that a guard begins with."""
        call = Call(guard.enter, None, args, line, text)
        self.graph.emit(CallEvent(call, "enter"))
        return call

    def guarded_block(self, macro: str, node: Node, arguments: list[Node], body: Node | None) -> None:
        """`scoped_guard(class, args) body`, `scoped_cond_guard(class, failed, args) body`, and their like."""
        line, text = self.line(node), f"{macro}({', '.join(self.short(a, 60) for a in arguments)})"[:200]
        name = self.read(arguments[0]) if arguments else ""
        conditional = macro == "scoped_cond_guard"
        known = macro in ("scoped_guard", "scoped_cond_guard")
        guard = self.guard(name) if known else Guard(macro, macro)
        first = (2 if conditional else 1) if known else 0
        args = tuple(self.expr(argument) for argument in arguments[first:])
        outside = self.guards
        call = self.enter(guard, args, line, text)
        inside, failed, after = Draft(line), Draft(line), Draft(self.last_line(node))
        if guard.ok or conditional:
            self.graph.go(inside, call, guard.ok != "zero")
            self.graph.go(failed, call, guard.ok == "zero")
            self.graph.place(failed)
            if conditional and len(arguments) > 1:
                if word := self.leaving(arguments[1]):
                    self.go_away(word, arguments[1])
                else:
                    self.expr(arguments[1])
            self.graph.go(after)
            self.graph.place(inside)
        self.hold(guard.leave, args, line, text)
        self.breaks.append((after, outside))
        self.continues.append((after, outside))
        self.scope_of(body)
        self.breaks.pop()
        self.continues.pop()
        self.leave_to(outside)
        self.guards = outside
        self.graph.fall(after)

    def scoped_variable(self, variable: str, declared: Node) -> None:
        """`type *x __free(how) = ...`: what runs when the variable's scope is left."""
        clean = self.text.clean
        end = declared.end_byte
        if clean.find(b"__", end, end + 120) < 0 or not (found := SCOPED.match(clean, end, end + 200)):
            return
        how, line = found[2].decode("ascii", "replace"), self.line(declared)
        value: Expr = Name(variable)
        args = (value,) if found[1] == b"__free" else (AddressOf(value),)
        self.hold(how, args, line, found[0].decode("utf-8", "replace").strip()[:200])

    # --- known to the reader of statements ---------------------------------------------------------------------------

    def scope_of(self, node: Node | None) -> None:
        """Read a statement as a scope of its own."""
        raise NotImplementedError

    def stmt(self, node: Node | None) -> None:
        """Read one statement."""
        raise NotImplementedError

    def go_away(self, word: str, node: Node) -> None:
        """Leave by a statement that the repair made an expression."""
        raise NotImplementedError


def class_of(name: str) -> Guard:
    """The constructor and destructor of a class, as DEFINE_CLASS() names them."""
    return Guard(f"class_{name}_constructor", f"class_{name}_destructor")
