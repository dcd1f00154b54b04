"""Calls: their arguments' events, then their own; macros that are syntax, and those that hold statements."""

from __future__ import annotations

import re

from tree_sitter import Node

from reviewbot.csource.conditions import Conditions
from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    Call,
    CallEvent,
    CastExpr,
    Deref,
    Expr,
    Name,
    Type,
    Unknown,
    Variable,
    field_of,
)
from reviewbot.csource.syntax import Command
from reviewbot.limits import MAX_EXPRESSION_TEXT


class Calls(Conditions):
    """Reads calls into the flow graph."""

    def _sleep_with(self, name: str, command: Command, node: Node, nodes: list[Node]) -> Expr:
        """A macro that runs statements of its caller around its sleep, or drops a lock for it: in the order in which
        that happens."""
        line, text = self.line(node), self.short(node, MAX_EXPRESSION_TEXT)
        late = (command.before, command.after)
        values = [Unknown() if i in late else self.expr(argument) for i, argument in enumerate(nodes)]
        sleep = Call(name, None, tuple(values), line, text)
        lock: tuple[Expr, ...] = ()
        if command.lock is not None:
            given = values[command.lock]
            lock = (AddressOf(field_of(given, command.member, False) if command.member else given),)
            self.graph.emit(CallEvent(Call(command.drop, None, lock, line, text)))
        if command.before is not None:
            self.expr(nodes[command.before])
        self.graph.emit(CallEvent(sleep))
        if command.after is not None and command.after < len(nodes):
            self.expr(nodes[command.after])
        if lock:
            self.graph.emit(CallEvent(Call(command.take, None, lock, line, text)))
        return sleep

    def call(self, node: Node) -> Expr:
        """A call: its arguments' events, then its own; macros that are syntax give what they stand for."""
        function, listed = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        nodes = listed.named_children if listed is not None else []
        name = ""
        if function is not None and function.type == "identifier":
            name = self.read(function)
            if (stands := self._macro(name, node, nodes)) is not None:
                return stands
        name, target = self._callee(function, name)
        values: list[Expr] = []
        leaves = None
        for argument in nodes:
            word = self.leaving(argument)
            if word:
                leaves = (word, argument)
                values.append(Unknown(word))
            else:
                values.append(self.expr(argument))
        call = Call(name, target, tuple(values), self.line(node), self.short(node, MAX_EXPRESSION_TEXT))
        self.graph.emit(CallEvent(call))
        if name in self.table.variables and nodes and nodes[0].type == "identifier":
            kind = Type(self.table.variables[name])
            self.declare(self.read(nodes[0]), kind, self.line(node), self.static_before(node))
        if leaves is not None:
            self.leave_by(*leaves)
        elif name in self.table.noreturn:
            self.graph.leave(self.line(node))
        return call

    def _macro(self, name: str, node: Node, nodes: list[Node]) -> Expr | None:
        """What a macro stands for that is syntax, or that the file defines; None for a call."""
        if name in self.macros and (stands := self.expanded(name, node)) is not None:
            return stands
        if name in self.table.transparent and nodes:
            values = [self.expr(argument) for argument in nodes]
            return values[0]
        if name in self.table.stores and len(nodes) == 2:
            right, left = self.expr(nodes[1]), self.expr(nodes[0])
            self.graph.emit(Assign(left, right, self.line(node)))
            return right
        if name in self.table.containers and (found := self._container(name, nodes)) is not None:
            return found
        if name in self.table.commands and len(nodes) > self.table.commands[name].last:
            return self._sleep_with(name, self.table.commands[name], node, nodes)
        return None

    def _callee(self, function: Node | None, name: str) -> tuple[str, Expr | None]:
        """The name that is called, or the expression that it is called through."""
        if function is None or (name and name not in self.names):
            return name, None
        target = self.expr(function)
        if isinstance(target, Deref):
            target = target.base
        if isinstance(target, Name) and not (target.name in self.locals or target.name in self.parameters_by_name):
            return target.name, None
        return (self.short(function, 60) if isinstance(target, Unknown) else ""), target

    def leaving(self, argument: Node) -> str:
        """`return`, `goto`, ... if the argument is a statement, which the repair made an expression."""
        if argument.type == "identifier" and (word := self.read(argument)) in ("return", "break", "continue"):
            return word
        before = self.text.clean[max(0, argument.start_byte - 40) : argument.start_byte].rstrip()
        found = re.search(rb"\b(return|goto)\Z", before)
        return found[1].decode() if found else ""

    def _container(self, name: str, nodes: list[Node]) -> Expr | None:
        pointer, kind, member = self.table.containers[name]
        if max(pointer, kind, member) >= len(nodes):
            return None
        base = self.expr(nodes[pointer])
        typename = self.read(nodes[kind]) if kind != pointer else ""
        where = typename if kind != pointer else (base.name if isinstance(base, Name) else "")
        if (
            variable := self.locals.get(self.names.get(where, where)) or self.parameters_by_name.get(where)
        ) is not None:
            typename = variable.type.name
        if typename.startswith("typeof") or not typename.isidentifier():
            typename = ""
        return CastExpr(typename, 1, base, name, self.short(nodes[member], 60))

    def expanded(self, name: str, node: Node) -> Expr | None:
        """What a macro of the file stands for, read here; the flow graph's reader knows how."""

    def leave_by(self, word: str, node: Node) -> None:
        """A macro's argument was a statement that leaves; the flow graph's reader knows how."""

    def declare(self, name: str, kind: Type, line: int, static: bool = False) -> str:
        """Make a name known as a local; returns the name that it has in the function (another for a second type)."""
        known = self.locals.get(name) or self.parameters_by_name.get(name)
        unique, number = name, 2
        while known is not None and (known.type != kind or known.name in self.parameters_by_name):
            unique = f"{name}~{number}"
            number += 1
            known = self.locals.get(unique)
        if known is None:
            self.locals[unique] = Variable(unique, kind, static, line)
        self.names[name] = unique
        return unique
