"""Loops: C's own, and macros that are loops."""

from __future__ import annotations

import re

from tree_sitter import Node

from reviewbot.csource.graph import Draft
from reviewbot.csource.guards import Guards
from reviewbot.csource.ir import Assign, Call, CallEvent, Name
from reviewbot.csource.syntax import cursors


class Loops(Guards):
    """Reads loops into the graph."""

    def while_statement(self, node: Node) -> None:
        """A `while` loop, or what the repair named so: a block under a guard (`scoped_guard`), or a loop of a macro
        (`list_for_each`)."""
        word = self.word(node.start_byte)
        if word in ("while", "__while__"):
            head = Draft(self.line(node), loop="while")
            inside, after = Draft(self.line(node)), Draft(self.last_line(node))
            self.graph.fall(head)
            self.cond(node.child_by_field_name("condition"), inside, after)
            self._loop(node, inside, head, after)
            self.graph.go(head)
            self.graph.place(after)
        elif word in self.table.once or word.startswith("scoped_"):
            self.guarded_block(
                word, node, self._listed(node.child_by_field_name("condition")), node.child_by_field_name("body")
            )
        else:
            self._loop_macro(word, node)

    def _loop(self, node: Node, inside: Draft, again: Draft, after: Draft) -> None:
        """Read a loop's body from `inside` on; where it ends is where the graph then is."""
        self.breaks.append((after, self.guards))
        self.continues.append((again, self.guards))
        self.graph.place(inside)
        self.scope_of(node.child_by_field_name("body"))
        self.breaks.pop()
        self.continues.pop()

    def _loop_macro(self, word: str, node: Node) -> None:
        condition = node.child_by_field_name("condition")
        head = Draft(self.line(node), loop=word)
        inside, after = Draft(self.line(node)), Draft(self.last_line(node))
        self.graph.fall(head)
        self._next(word, node, condition)
        self.graph.go(inside)
        self.graph.go(after)
        self._loop(node, inside, head, after)
        self.graph.go(head)
        self.graph.place(after)

    def _next(self, word: str, node: Node, condition: Node | None) -> None:
        """A loop macro goes one further: its call, and what it sets."""
        values = tuple(self.expr(argument) for argument in self._listed(condition))
        text = f"{word}{self.short(condition, 150)}" if condition is not None else word
        line = self.line(condition if condition is not None and node.type == "do_statement" else node)
        call = Call(word, None, values, line, text)
        self.graph.emit(CallEvent(call))
        for position in cursors(word):
            if position < len(values) and isinstance(values[position], Name):
                self.graph.emit(Assign(values[position], call, line))

    def do_statement(self, node: Node) -> None:
        """A `do ... while` loop; one that ends in `while (0)` runs once, one that ends in `while_each_foo(x)` any
        number of times."""
        inside, test, after = (
            Draft(self.line(node), loop="do"),
            Draft(self.last_line(node)),
            Draft(self.last_line(node)),
        )
        condition = node.child_by_field_name("condition")
        once = self.short(condition, 20).strip("() ") == "0" if condition is not None else False
        if once:
            inside.loop = ""
        at = condition.start_byte if condition is not None else node.start_byte
        word = re.search(rb"(\w+)\s*\Z", self.text.clean[max(0, at - 60) : at])
        each = word[1].decode("ascii", "replace") if word and word[1] not in (b"while", b"__while__") else ""
        if each:
            inside.loop = each
        self.graph.go(inside)
        self._loop(node, inside, test, after)
        self.graph.fall(test)
        if once:
            self.graph.go(after)
        elif each:
            self._next(each, node, condition)
            self.graph.go(inside)
            self.graph.go(after)
        else:
            self.cond(condition, inside, after)
        self.graph.place(after)

    def for_statement(self, node: Node) -> None:
        """A `for` loop: what comes first, the test, the body, the step."""
        names = dict(self.names)
        first, test = node.child_by_field_name("initializer"), node.child_by_field_name("condition")
        self.stmt(first)
        head = Draft(self.line(node), loop="for")
        inside, step, after = Draft(self.line(node)), Draft(self.line(node)), Draft(self.last_line(node))
        self.graph.fall(head)
        if test is None:
            self.graph.go(inside)
        else:
            self.cond(test, inside, after)
        self._loop(node, inside, step, after)
        self.graph.fall(step)
        update = node.child_by_field_name("update")
        if update is not None:
            self.expr(update)
        self.graph.go(head)
        self.graph.place(after)
        self.names = names

    def _listed(self, condition: Node | None) -> list[Node]:
        """The arguments of a macro that the repair made the condition of a `while`."""
        node = condition
        while node is not None and node.type == "parenthesized_expression":
            node = next(iter(node.named_children), None)
        found: list[Node] = []
        while node is not None and node.type == "comma_expression":
            left = node.child_by_field_name("left")
            found.extend([left] if left is not None else [])
            node = node.child_by_field_name("right")
        if node is not None and self.read(node) != "(":  # there the repair made one for a macro without any
            found.append(node)
        return found
