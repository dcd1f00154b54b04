"""Conditions: which way each of their parts goes on, and values that a test chooses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from tree_sitter import Node

from reviewbot.csource.declare import Declarations
from reviewbot.csource.defines import Define
from reviewbot.csource.graph import Draft, FlowGraph
from reviewbot.csource.ir import Const, Expr, OpExpr, Variable
from reviewbot.csource.syntax import syntax
from reviewbot.csource.text import SourceText
from reviewbot.limits import MAX_EXPRESSION_DEPTH

ZEROS = frozenset({"0", "NULL", "false"})
ACTS = frozenset({"call_expression", "assignment_expression", "update_expression", "compound_statement"})
"""Kinds of expressions that do something when they are evaluated."""


class Conditions(Declarations, ABC):
    """Parts the ways of the flow graph of one function, by what its tests ask."""

    def __init__(self, text: SourceText, first_line: int = 1) -> None:
        super().__init__(text, first_line)
        self.table = syntax()
        self.graph = FlowGraph(first_line)
        self.names: dict[str, str] = {}
        """Names of the scope here that are locals or parameters, with the name they have in the function."""
        self.locals: dict[str, Variable] = {}
        self.parameters_by_name: dict[str, Variable] = {}
        self.macros: Mapping[str, Define] = {}
        """Macros of the file that are read where they are used."""
        self.depth = 0
        self.cut = False
        """Something was nested too deep, or there was too much: the function is not read."""

    @abstractmethod
    def expr(self, node: Node | None) -> Expr:
        """The value of an expression; its calls and assignments become events here."""

    def cond(self, node: Node | None, yes: Draft, no: Draft) -> Expr:
        """Branch on a condition. `&&`, `||`, `!` and `?:` part ways: each branch tests one thing, and what follows an
        operator happens only where it is asked for."""
        self.depth += 1
        try:
            return self._cond(self.bare(node) if self.depth <= MAX_EXPRESSION_DEPTH else node, yes, no)
        finally:
            self.depth -= 1

    def _cond(self, node: Node | None, yes: Draft, no: Draft) -> Expr:
        if self.depth > MAX_EXPRESSION_DEPTH:
            return self.expr(node)
        if node is None:
            return self._tested(node, yes, no)
        kind = node.type
        if kind == "unary_expression" and node.children[0].type == "!":
            return OpExpr("!", (self.cond(node.child_by_field_name("argument"), no, yes),))
        if kind == "binary_expression" and (joined := self._joined(node, yes, no)) is not None:
            return joined
        if kind == "conditional_expression" and (first := node.child_by_field_name("consequence")) is not None:
            one, two = Draft(self.line(node)), Draft(self.line(node))
            test = self.cond(node.child_by_field_name("condition"), one, two)
            self.graph.place(one)
            value = self.cond(first, yes, no)
            self.graph.place(two)
            return OpExpr("?:", (test, value, self.cond(node.child_by_field_name("alternative"), yes, no)))
        return self._tested(node, yes, no)

    def _joined(self, node: Node, yes: Draft, no: Draft) -> Expr | None:
        """A condition of two parts, or one that is compared with zero; None for any other operator."""
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        op = operator_of(node)
        if op in ("&&", "||") and right is not None:
            middle = Draft(self.line(right))
            first = self.cond(left, middle, no) if op == "&&" else self.cond(left, yes, middle)
            self.graph.place(middle)
            return OpExpr(op, (first, self.cond(right, yes, no)))
        if op in ("==", "!=") and right is not None and self.read(right) in ZEROS:
            return self.cond(left, no, yes) if op == "==" else self.cond(left, yes, no)
        return None

    def _tested(self, node: Node | None, yes: Draft, no: Draft) -> Expr:
        """Branch on a value that has no parts."""
        value = self.expr(node)
        if isinstance(value, Const) and value.text.isdigit():
            self.graph.go(no if value.text == "0" else yes)
        else:
            line = self.line(node) if node is not None else 0
            self.graph.go(yes, value, True, line)
            self.graph.go(no, value, False, line)
        return value

    def bare(self, node: Node | None, hints: bool = True) -> Node | None:
        """A condition without parentheses and, with `hints`, without hints and warnings around it."""
        while node is not None:
            if node.type == "parenthesized_expression":
                inner = node.named_children
                if len(inner) != 1 or inner[0].type == "compound_statement":
                    break
                node = inner[0]
            elif node.type == "call_expression" and hints:
                function, listed = node.child_by_field_name("function"), node.child_by_field_name("arguments")
                if function is None or listed is None or function.type != "identifier" or not listed.named_children:
                    break
                name = self.read(function)
                if name not in self.table.transparent and name not in self.table.warnings:
                    break
                node = listed.named_children[0]
            else:
                break
        return node

    def acts(self, node: Node) -> bool:
        """Whether evaluating the expression calls or assigns anything."""
        if b"(" not in self.text.code[node.start_byte : node.end_byte] and node.type not in ACTS:
            return any(kind in self.text.code[node.start_byte : node.end_byte] for kind in (b"++", b"--"))
        stack = [node]
        while stack:
            node = stack.pop()
            if node.type in ACTS:
                function = node.child_by_field_name("function")
                if function is None or self.read(function) not in self.table.transparent:
                    return True
            stack.extend(node.named_children)
        return False

    def choose(self, node: Node | None, each: Callable[[Expr], None]) -> None:
        """Evaluate a value and do something with it; where tests that call something choose it, in each arm."""
        inner = self.bare(node, hints=False)
        if inner is None or not self.acts(inner) or self.depth > MAX_EXPRESSION_DEPTH:
            each(self.expr(node))
            return
        line = self.line(inner)
        yes, no, after = Draft(line), Draft(line), Draft(line)
        self.depth += 1
        if inner.type == "conditional_expression" and inner.child_by_field_name("consequence") is not None:
            self.cond(inner.child_by_field_name("condition"), yes, no)
            self.graph.place(yes)
            self.choose(inner.child_by_field_name("consequence"), each)
            self.graph.go(after)
            self.graph.place(no)
            self.choose(inner.child_by_field_name("alternative"), each)
            self.graph.fall(after)
        elif inner.type == "binary_expression" and operator_of(inner) in ("&&", "||"):
            self.cond(inner, yes, no)
            self.graph.place(yes)
            each(Const("1"))
            self.graph.go(after)
            self.graph.place(no)
            each(Const("0"))
            self.graph.fall(after)
        else:
            each(self.expr(node))
        self.depth -= 1


def operator_of(node: Node) -> str:
    """The operator of an expression; `?` where there is none."""
    operator = node.child_by_field_name("operator")
    return operator.type if operator is not None else "?"
