"""Expressions: values for the facts, and the calls and assignments that their evaluation makes, in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tree_sitter import Node

from reviewbot.csource.declare import Declarations
from reviewbot.csource.defines import Define
from reviewbot.csource.graph import Draft, FlowGraph
from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    Call,
    CallEvent,
    CastExpr,
    Const,
    Deref,
    Expr,
    Field,
    IndexExpr,
    Name,
    OpExpr,
    Type,
    Unknown,
    Variable,
)
from reviewbot.csource.syntax import Command, syntax
from reviewbot.csource.text import SourceText
from reviewbot.limits import MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_TEXT

LITERALS = frozenset({"number_literal", "true", "false", "null", "char_literal"})
ZEROS = frozenset({"0", "NULL", "false"})
NOTHING = OpExpr("{}", ())
"""An initialiser's zeros: all that it does not name."""


class Expressions(Declarations):
    """Evaluates expressions into the graph of one function (or of none, for file-scope initialisers)."""

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

    def choose(self, node: Node | None, each: Callable[[Expr], None]) -> None:
        """Evaluate a value and do something with it; where tests that call something choose it, in each arm."""
        inner = self._bare(node, hints=False)
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
        elif inner.type == "binary_expression" and self._operator(inner) in ("&&", "||"):
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

    def _operator(self, node: Node) -> str:
        operator = node.child_by_field_name("operator")
        return operator.type if operator is not None else "?"

    def _update(self, node: Node) -> Expr:
        left = self.expr(node.child_by_field_name("argument"))
        operator = node.child_by_field_name("operator")
        op = "-=" if operator is not None and operator.type == "--" else "+="
        self.graph.emit(Assign(left, Const("1"), self.line(node), op))
        return left

    def _unary(self, node: Node) -> Expr:
        operator = node.child_by_field_name("operator")
        argument = node.child_by_field_name("argument")
        op = operator.type if operator is not None else "?"
        if op == "-" and argument is not None and argument.type == "number_literal":
            return Const("-" + self.short(argument, 59))
        return OpExpr(op, (self.expr(argument),))

    def _binary(self, node: Node) -> Expr:
        operator = node.child_by_field_name("operator")
        op = operator.type if operator is not None else "?"
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

    # --- calls -------------------------------------------------------------------------------------------------------

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
        name, target = self._callee(function, name)
        values = []
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

    # --- conditions --------------------------------------------------------------------------------------------------

    def cond(self, node: Node | None, yes: Draft, no: Draft) -> Expr:
        """Branch on a condition. `&&`, `||`, `!` and `?:` part ways: each branch tests one thing, and what follows an
        operator happens only where it is asked for."""
        self.depth += 1
        try:
            return self._cond(self._bare(node) if self.depth <= MAX_EXPRESSION_DEPTH else node, yes, no)
        finally:
            self.depth -= 1

    def _cond(self, node: Node | None, yes: Draft, no: Draft) -> Expr:
        kind = node.type if node is not None else ""
        if self.depth > MAX_EXPRESSION_DEPTH:
            return self.expr(node)
        if node is not None and kind == "unary_expression" and node.children[0].type == "!":
            return OpExpr("!", (self.cond(node.child_by_field_name("argument"), no, yes),))
        if node is not None and kind == "binary_expression":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            operator = node.child_by_field_name("operator")
            op = operator.type if operator is not None else ""
            if op in ("&&", "||") and right is not None:
                middle = Draft(self.line(right))
                first = self.cond(left, middle, no) if op == "&&" else self.cond(left, yes, middle)
                self.graph.place(middle)
                return OpExpr(op, (first, self.cond(right, yes, no)))
            if op in ("==", "!=") and right is not None and self.read(right) in ZEROS:
                return self.cond(left, no, yes) if op == "==" else self.cond(left, yes, no)
        if node is not None and kind == "conditional_expression":
            first_node = node.child_by_field_name("consequence")
            if first_node is not None:
                one, two = Draft(self.line(node)), Draft(self.line(node))
                test = self.cond(node.child_by_field_name("condition"), one, two)
                self.graph.place(one)
                first = self.cond(first_node, yes, no)
                self.graph.place(two)
                return OpExpr("?:", (test, first, self.cond(node.child_by_field_name("alternative"), yes, no)))
        value = self.expr(node)
        if isinstance(value, Const) and value.text.isdigit():
            self.graph.go(no if value.text == "0" else yes)
        else:
            line = self.line(node) if node is not None else 0
            self.graph.go(yes, value, True, line)
            self.graph.go(no, value, False, line)
        return value

    def _bare(self, node: Node | None, hints: bool = True) -> Node | None:
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


ACTS = frozenset({"call_expression", "assignment_expression", "update_expression", "compound_statement"})


def field_of(base: Expr, name: str, arrow: bool) -> Expr:
    """`base.name` in one spelling: `(*p).a` is `p->a`, `(&s)->a` is `s.a`."""
    if not arrow and isinstance(base, Deref):
        return Field(base.base, name, True)
    if arrow and isinstance(base, AddressOf):
        return Field(base.base, name, False)
    return Field(base, name, arrow)
