"""Initialiser tables at file scope: which function stands in which field of an ops table."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from reviewbot.csource.expressions import Expressions
from reviewbot.csource.graph import FlowGraph
from reviewbot.csource.ir import Expr, TableEntry, Type
from reviewbot.csource.text import SourceText
from reviewbot.limits import MAX_INITIALISER_NESTING, MAX_TABLE_SLOTS

DULL = frozenset({"number_literal", "string_literal", "char_literal", "concatenated_string"})
"""Values that only a named field makes worth keeping."""


class Initialisers(Expressions):
    """Reads initialisers; the entries of all lists are in `slots`."""

    def __init__(self, text: SourceText, first_line: int = 1) -> None:
        super().__init__(text, first_line)
        self.slots: list[TableEntry] = []

    def read_value(self, kind: Type, variable: str, value: Node) -> Expr | None:
        """Read the initialiser of a variable; a scalar's value is returned."""
        self.graph = FlowGraph(1)
        if value.type != "initializer_list":
            return self.expr(value)
        for field, node in self._entries(value, "", kind.array, 0):
            if len(self.slots) < MAX_TABLE_SLOTS:
                self.slots.append(TableEntry(kind.name, variable, field, self.expr(node), self.line(node)))
        return None

    def _entries(self, values: Node, path: str, array: bool, nesting: int) -> Iterator[tuple[str, Node]]:
        """(field, value) of a list: array positions leave no trace in the field, other unnamed ones are `#1`."""
        position = -1
        for child in values.named_children if nesting < MAX_INITIALISER_NESTING else ():
            if child.type.startswith("preproc_") or child.type == "ERROR":
                yield from self._entries(child, path, array, nesting + 1)
                continue
            value: Node | None = child
            names = []
            if child.type == "initializer_pair":
                value = child.child_by_field_name("value")
                for designator in child.children_by_field_name("designator"):
                    if designator.type == "field_designator" and designator.named_children:
                        names.append(self.read(designator.named_children[0]))
            elif not array:
                position += 1
                names.append(f"#{position}")
            if value is not None and value.type == "compound_literal_expression":
                value = value.child_by_field_name("value")
            field = ".".join([path, *names] if path else names)
            if value is None:
                continue
            if value.type == "initializer_list":
                yield from self._entries(value, field, False, nesting + 1)
            elif child.type == "initializer_pair" or value.type not in DULL:
                yield field, value
