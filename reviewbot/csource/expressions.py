"""Expressions: values for the facts, and the calls and assignments that their evaluation makes, in order."""

from __future__ import annotations

from tree_sitter import Node

from reviewbot.csource.calls import Calls
from reviewbot.csource.conditions import operator_of
from reviewbot.csource.graph import Draft
from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    CastExpr,
    Const,
    Deref,
    Expr,
    IndexExpr,
    Name,
    OpExpr,
    Unknown,
    Variable,
    field_of,
)
from reviewbot.csource.text import SourceText
from reviewbot.limits import MAX_EXPRESSION_DEPTH

LITERALS = frozenset({"number_literal", "true", "false", "null", "char_literal"})
NOTHING = OpExpr("{}", ())
"""An initialiser's zeros: all that it does not name."""


class Expressions(Calls):
    """Evaluates expressions into the graph of one function (or of none, for file-scope initialisers)."""

    def __init__(self, text: SourceText, first_line: int = 1) -> None:
        super().__init__(text, first_line)
        self._readers = {
            "identifier": self._name,
            "field_identifier": self._name,
            "type_identifier": self._name,
            "field_expression": self._field,
            "call_expression": self.call,
            "pointer_expression": self._pointer,
            "subscript_expression": self._subscript,
            "cast_expression": self._cast,
            "assignment_expression": self._assignment,
            "update_expression": self._update,
            "unary_expression": self._unary,
            "binary_expression": self._binary,
            "conditional_expression": self._conditional,
            "parenthesized_expression": self._parenthesized,
            "compound_literal_expression": self._literal,
            "comma_expression": self._comma,
            "string_literal": self._string,
            "concatenated_string": self._string,
            "sizeof_expression": self._sizeof,
            "alignof_expression": self._sizeof,
            "offsetof_expression": self._sizeof,
            "compound_statement": self._block,
            "initializer_list": self._list,
        }

    def expr(self, node: Node | None) -> Expr:
        """The value of an expression; its calls and assignments become events here."""
        if node is None:
            return Unknown()
        kind = node.type
        if kind in LITERALS:
            return Const(self.short(node, 60))
        if self.depth > MAX_EXPRESSION_DEPTH or self.graph.full:
            self.cut = True
        if self.cut:
            return Unknown(self.short(node, 60))
        reader = self._readers.get(kind)
        if reader is None:
            return self._unread(node)
        self.depth += 1
        try:
            return reader(node)
        finally:
            self.depth -= 1

    def _unread(self, node: Node) -> Expr:
        if node.type != "type_descriptor":
            self.depth += 1
            for child in node.named_children:
                self.expr(child)
            self.depth -= 1
        return Unknown(self.short(node, 60))

    def _name(self, node: Node) -> Expr:
        name = self.read(node)
        if name in self.names:
            return Name(self.names[name])
        return Unknown("asm") if name in ("asm", "__asm__") else Name(name)

    def _field(self, node: Node) -> Expr:
        base = self.expr(node.child_by_field_name("argument"))
        named = node.child_by_field_name("field")
        operator = node.child_by_field_name("operator")
        arrow = operator is not None and operator.type == "->"
        return field_of(base, self.read(named) if named is not None else "", arrow)

    def _pointer(self, node: Node) -> Expr:
        base = self.expr(node.child_by_field_name("argument"))
        if node.children[0].type == "*":
            return base.base if isinstance(base, AddressOf) else Deref(base)
        return base.base if isinstance(base, Deref) else AddressOf(base)

    def _subscript(self, node: Node) -> Expr:
        base = self.expr(node.child_by_field_name("argument"))
        return IndexExpr(base, self.expr(node.child_by_field_name("index")))

    def _cast(self, node: Node) -> Expr:
        kind = node.child_by_field_name("type")
        base = self.expr(node.child_by_field_name("value"))
        if kind is None:
            return base
        said = self.declarator(kind.child_by_field_name("declarator"))
        return CastExpr(self.type_name(kind.child_by_field_name("type"), ""), max(0, said.pointers), base)

    def _assignment(self, node: Node) -> Expr:
        operator = node.child_by_field_name("operator")
        right = node.child_by_field_name("right")
        op = operator.type if operator is not None else "="
        left_node = node.child_by_field_name("left")
        if right is not None and right.type == "compound_literal_expression" and op == "=":
            left = self.expr(left_node)
            self.fill(left, right.child_by_field_name("value"), self.line(node))
            return left
        return self.store(left_node, right, self.line(node), op)

    def store(self, left: Node | Name | None, value: Node | None, line: int, op: str = "=") -> Expr:
        """Assign a value, in each arm where it is chosen by a test; returns what it is assigned to."""
        places: list[Expr] = []

        def assign(right: Expr) -> None:
            places.append(left if isinstance(left, Name) else self.expr(left))
            self.graph.emit(Assign(places[-1], right, line, op))

        self.choose(value, assign)
        return places[0]

    def _update(self, node: Node) -> Expr:
        left = self.expr(node.child_by_field_name("argument"))
        operator = node.child_by_field_name("operator")
        op = "-=" if operator is not None and operator.type == "--" else "+="
        self.graph.emit(Assign(left, Const("1"), self.line(node), op))
        return left

    def _unary(self, node: Node) -> Expr:
        argument = node.child_by_field_name("argument")
        op = operator_of(node)
        if op == "-" and argument is not None and argument.type == "number_literal":
            return Const("-" + self.short(argument, 59))
        return OpExpr(op, (self.expr(argument),))

    def _binary(self, node: Node) -> Expr:
        op = operator_of(node)
        left_node, right_node = node.child_by_field_name("left"), node.child_by_field_name("right")
        if op not in ("&&", "||") or right_node is None or not self.acts(right_node):
            left = self.expr(left_node)
            return OpExpr(op, (left, self.expr(right_node)))
        then, after = Draft(self.line(right_node)), Draft(self.line(right_node))
        line = self.line(node)
        left = self.expr(left_node)
        self.graph.go(then, left, op == "&&", line)
        self.graph.go(after, left, op != "&&", line)
        self.graph.place(then)
        right = self.expr(right_node)
        self.graph.fall(after)
        return OpExpr(op, (left, right))

    def _conditional(self, node: Node) -> Expr:
        test = node.child_by_field_name("condition")
        first, second = node.child_by_field_name("consequence"), node.child_by_field_name("alternative")
        branches = [part for part in (first, second) if part is not None]
        if not any(self.acts(part) for part in branches):
            value = self.expr(test)
            return OpExpr("?:", (value, self.expr(first) if first is not None else value, self.expr(second)))
        line = self.line(node)
        yes, no, after = Draft(line), Draft(line), Draft(line)
        if first is None:
            value = self.expr(test)
            self.graph.go(yes, value, True, line)
            self.graph.go(no, value, False, line)
        else:
            value = self.cond(test, yes, no)
        self.graph.place(yes)
        one = self.expr(first) if first is not None else value
        self.graph.go(after)
        self.graph.place(no)
        two = self.expr(second)
        self.graph.fall(after)
        return OpExpr("?:", (value, one, two))

    def _parenthesized(self, node: Node) -> Expr:
        inner = node.named_children
        return self.expr(inner[0]) if inner else Unknown()

    def _literal(self, node: Node) -> Expr:
        kind = node.child_by_field_name("type")
        said = self.declarator(kind.child_by_field_name("declarator") if kind is not None else None)
        base = self.type_name(kind.child_by_field_name("type") if kind is not None else None, "")
        name = f"__literal_{sum(local.startswith('__literal_') for local in self.locals) + 1}"
        self.locals[name] = Variable(name, self.typed(base, said), line=self.line(node))
        self.fill(Name(name), node.child_by_field_name("value"), self.line(node))
        return Name(name)

    def _comma(self, node: Node) -> Expr:
        self.expr(node.child_by_field_name("left"))
        return self.expr(node.child_by_field_name("right"))

    def _string(self, node: Node) -> Expr:
        return Const(self.short(node, 60))

    def _sizeof(self, node: Node) -> Expr:
        return OpExpr("sizeof" if node.type == "sizeof_expression" else node.children[0].type, ())

    def _list(self, node: Node) -> Expr:
        values = tuple(self.expr(child) for child in node.named_children if child.type != "initializer_pair")
        return NOTHING if values == (Const("0"),) else OpExpr("{}", values)

    def _block(self, node: Node) -> Expr:
        """A statement expression; the flow graph's reader knows how."""
        return Unknown(self.short(node, 60))

    def fill(self, target: Expr, values: Node | None, line: int) -> None:
        """What an initialiser list assigns: first all zeros, then each named member, nested ones too."""
        if values is None or values.type != "initializer_list":
            self.graph.emit(Assign(target, self.expr(values), line))
            return
        named = any(child.type == "initializer_pair" for child in values.named_children)
        if not named:
            self.graph.emit(Assign(target, self._list(values), line))
            return
        self.graph.emit(Assign(target, NOTHING, line))
        self._fill(target, values)

    def _fill(self, target: Expr, values: Node) -> None:
        for child in values.named_children:
            if child.type != "initializer_pair":
                self.expr(child)
                continue
            place = target
            for designator in child.children_by_field_name("designator"):
                inner = designator.named_children
                if designator.type == "field_designator" and inner:
                    place = field_of(place, self.read(inner[0]), False)
                elif inner:
                    place = IndexExpr(place, self.expr(inner[0]))
            value = child.child_by_field_name("value")
            if value is not None and value.type == "initializer_list" and value.named_child_count:
                self._fill(place, value)
            else:
                right = NOTHING if value is None or value.type == "initializer_list" else self.expr(value)
                self.graph.emit(Assign(place, right, self.line(child)))
