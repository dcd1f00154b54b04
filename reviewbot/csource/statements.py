"""Statements: the flow graph of one function body."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tree_sitter import Node

from reviewbot.csource.defines import Define, expansion
from reviewbot.csource.graph import Draft, FlowGraph
from reviewbot.csource.guards import Leave
from reviewbot.csource.ir import CallEvent, Expr, Jump, Name, OpExpr, Return, Type, Unknown, Variable
from reviewbot.csource.loops import Loops
from reviewbot.csource.parse import parse
from reviewbot.csource.text import SourceText
from reviewbot.limits import MAX_LOCKS_OF_FUNCTION, MAX_LOOSE_CALL_BYTES, MAX_STATEMENT_NESTING

LINE = re.compile(rb"(?:[^\n\\]|\\\r?\n|\\.)*")
"""The rest of a directive."""


class Statements(Loops):
    """Reads one body; `blocks` is what it became."""

    def __init__(
        self,
        text: SourceText,
        first_line: int = 1,
        *,
        parameters: tuple[Variable, ...] = (),
        start: int = 1,
        macro: bool = False,
        macros: Mapping[str, Define] | None = None,
    ) -> None:
        super().__init__(text, first_line)
        self.macros = macros or {}
        self.expanding: frozenset[str] = frozenset()
        """Macros that are being read here: they are not read once more inside of themselves."""
        self.graph = FlowGraph(start)
        self.parameters_by_name = {parameter.name: parameter for parameter in parameters if parameter.name}
        self.names = {name: name for name in self.parameters_by_name}
        self.macro = macro
        self.nesting = 0
        self.labels: dict[str, tuple[Draft, Leave]] = {}
        self.gotos: list[tuple[str, Draft, Leave, int]] = []
        self.tables: list[tuple[Type, str, Node]] = []
        """Initialisers of static locals: type, variable, values."""
        self.switches: list[tuple[Draft, Expr, list[bool]]] = []
        self._statements = {
            "expression_statement": self._expression,
            "compound_statement": self._compound,
            "declaration": self.declaration,
            "if_statement": self._if,
            "while_statement": self.while_statement,
            "do_statement": self.do_statement,
            "for_statement": self.for_statement,
            "switch_statement": self._switch,
            "case_statement": self._case,
            "return_statement": self._return,
            "goto_statement": self._goto,
            "labeled_statement": self._labeled,
            "break_statement": self._break,
            "continue_statement": self._continue,
            "preproc_if": self._preprocessor,
            "preproc_ifdef": self._preprocessor,
            "preproc_elif": self._preprocessor,
            "preproc_elifdef": self._preprocessor,
            "preproc_else": self._children,
            "ERROR": self._children,
            "macro_type_specifier": self._call_alone,  # f(a * sizeof(x)); may look like a type
            "attributed_statement": self._children,
            "else_clause": self._children,
            "type_definition": self._ignore,
            "function_definition": self._ignore,
            "struct_specifier": self._local_type,
            "union_specifier": self._local_type,
            "enum_specifier": self._local_type,
            "preproc_def": self._ignore,
            "preproc_call": self._ignore,
            "comment": self._ignore,
        }

    def body(self, node: Node) -> None:
        """Read a function's body and resolve its gotos; the end of the text returns. Look at `cut` afterwards."""
        self.stmt(node)
        if not self.macro:
            self.graph.emit(Return(None, self.last_line(node)))
        self._resolve()

    def value(self, node: Node) -> Expr:
        """Read a macro's body that is an expression."""
        value = self.expr(node)
        self._resolve()
        return value

    def _resolve(self) -> None:
        for label, block, guards, line in self.gotos:
            found = self.labels.get(label)
            if found is None:
                if self.macro:
                    block.events.append(Jump(label, line))
                continue
            to, there = found
            block.events.extend(left := self.left(guards, there))
            self.graph.steps += 1 + len(left)
            block.edges.append((to, None, True, 0))
        self.cut = self.cut or self.graph.full or self._locks() > MAX_LOCKS_OF_FUNCTION

    def _locks(self) -> int:
        """How many different locks are taken, as far as names and arguments tell."""
        calls = (event.call for block in self.graph.placed for event in block.events if isinstance(event, CallEvent))
        return len({call.args[:1] for call in calls if not self.table.takes.isdisjoint(call.callee.split("_"))})

    # --- plumbing ----------------------------------------------------------------------------------------------------

    def stmt(self, node: Node | None) -> None:
        """Read one statement."""
        if node is None or not node.is_named:
            return
        if self.nesting > MAX_STATEMENT_NESTING or self.graph.full:
            self.cut = True
        if self.cut:
            return
        reader = self._statements.get(node.type)
        if reader is None:
            self.expr(node)
            return
        self.nesting += 1
        reader(node)
        self.nesting -= 1

    def _ignore(self, node: Node) -> None:
        pass

    def _children(self, node: Node) -> None:
        for child in node.named_children:
            self.stmt(child)

    def _local_type(self, node: Node) -> None:
        self.type_name(node, "")

    # --- plain statements --------------------------------------------------------------------------------------------

    def _expression(self, node: Node) -> None:
        inner = node.named_children
        if inner and not self.guard_statement(inner[0]):
            self.expr(inner[0])

    def _compound(self, node: Node) -> None:
        if self.text.clean[node.start_byte] != ord("{"):
            self._call_alone(node)
        else:
            self._scope(node.named_children)

    def _call_alone(self, node: Node) -> None:
        """A macro call that the repair made an empty block because no semicolon ends it."""
        code = self.text.clean[node.start_byte : node.end_byte]
        for reader, call in Statements.alone(code, self.line(node), self):
            reader.expr(call)
            self.cut = self.cut or reader.cut

    @classmethod
    def alone(cls, code: bytes, line: int, within: Statements | None = None) -> Iterator[tuple[Statements, Node]]:
        """Readers for the calls in a piece of text that the repair took out; `within` is where they are made."""
        parsed = parse(b"void f(void) { (" + code + b"); }") if len(code) <= MAX_LOOSE_CALL_BYTES else None
        body = parsed.tree.root_node.named_children[0].child_by_field_name("body") if parsed is not None else None
        for statement in body.named_children if body is not None else ():
            if parsed is not None and statement.type == "expression_statement" and statement.named_children:
                reader = cls(parsed.text, line)
                if within is not None:
                    reader.graph, reader.names, reader.locals = within.graph, within.names, within.locals
                    reader.parameters_by_name = within.parameters_by_name
                    reader.depth, reader.nesting = within.depth + 1, within.nesting + 1
                yield reader, statement.named_children[0]

    def expanded(self, name: str, node: Node) -> Expr | None:
        """Read what a macro of the file stands for, as if it stood here; its value is that of an expression."""
        if name in self.expanding or self.nesting > MAX_STATEMENT_NESTING:
            return None
        code = expansion(self.macros[name], self.text.clean[node.start_byte : node.end_byte])
        if code is None:
            return None
        for form in (b"(" + code + b")", code) if not code.endswith((b";", b"}")) else (code,):
            parsed = parse(b"void f(void) {" + form + b";}")
            root = parsed.tree.root_node.named_children
            if len(root) == 1 and not root[0].has_error and (body := root[0].child_by_field_name("body")) is not None:
                return self._read_here(parsed.text, body, name, self.line(node))
        return None

    def _read_here(self, text: SourceText, body: Node, name: str, line: int) -> Expr:
        """Read the statements of a text in the place of a call on a line."""
        reader = Statements(text, line, macro=self.macro, macros=self.macros)
        shared = ("graph", "names", "locals", "parameters_by_name", "labels", "gotos", "tables", "switches")
        for part in (*shared, "breaks", "continues", "guards"):
            setattr(reader, part, getattr(self, part))
        reader.depth, reader.nesting = self.depth + 1, self.nesting + 1
        reader.expanding = self.expanding | {name}
        value: Expr = Unknown()
        for statement in body.named_children:
            inner = statement.named_children
            if statement.type == "expression_statement" and inner and not reader.guard_statement(inner[0]):
                value = reader.expr(inner[0])
            else:
                reader.stmt(statement)
        self.guards, self.cut = reader.guards, self.cut or reader.cut
        return value

    def _scope(self, nodes: list[Node]) -> Expr:
        """Read a scope; the value is that of its last statement (of a statement expression)."""
        guards, names = self.guards, dict(self.names)
        value: Expr = Unknown()
        for at, child in enumerate(nodes):
            inner = child.named_children
            if at == len(nodes) - 1 and child.type == "expression_statement" and inner:
                value = Unknown() if self.guard_statement(inner[0]) else self.expr(inner[0])
            else:
                self.stmt(child)
        self.leave_to(guards)
        self.guards, self.names = guards, names
        return value

    def _block(self, node: Node) -> Expr:
        return self._scope(node.named_children)

    def declaration(self, node: Node) -> None:
        """A local declaration: the names, then the initialisers as assignments."""
        kind = node.child_by_field_name("type")
        stored = self.stored(node)
        base: str | None = None
        for declarator in node.children_by_field_name("declarator"):
            initialised = declarator.type == "init_declarator"
            said = self.declarator(declarator.child_by_field_name("declarator") if initialised else declarator)
            if said.name is None or (said.function is not None and not said.pointer_to_function):
                continue
            if base is None:
                base = self.type_name(kind, said.name)
            typed = self.typed(base, said)
            line = self.line(declarator)
            value = declarator.child_by_field_name("value") if initialised else None
            if "static" in stored:
                self.declare(said.name, typed, line, static=True)
                if value is not None:
                    self.tables.append((typed, said.name, value))
                continue
            literal = value is not None and value.type in ("initializer_list", "compound_literal_expression")
            unique = self.declare(said.name, typed, line)
            if literal and value is not None:
                inner = value if value.type == "initializer_list" else value.child_by_field_name("value")
                self.fill(Name(unique), inner, line)
            elif value is not None:
                self.store(Name(unique), value, line)
            if said.at is not None:
                self.scoped_variable(unique, said.at)

    def _return(self, node: Node) -> None:
        if inner := node.named_children:
            self.choose(inner[0], lambda value: self._leave(value, node))
        else:
            self._leave(None, node)

    def _leave(self, value: Expr | None, node: Node) -> None:
        self.leave_to(())
        self.graph.emit(Return(value, self.line(node)))
        self.graph.leave(self.line(node))

    def leave_by(self, word: str, node: Node) -> None:
        """A macro that may leave by `word` (return, goto, break, continue): one way goes there, one goes on."""
        line = self.line(node)
        away, on = Draft(line), Draft(line)
        self.graph.go(away)
        self.graph.go(on)
        self.graph.place(away)
        self.go_away(word, node)
        self.graph.place(on)

    def go_away(self, word: str, node: Node) -> None:
        """Leave by a statement that the repair made an expression."""
        if word == "goto":
            self._go_to(self.read(node), self.line(node))
        elif word == "break":
            self._break(node)
        elif word == "continue":
            self._continue(node)
        else:
            bare = node.type == "identifier" and self.read(node) == "return"
            self._leave(None if bare else self.expr(node), node)

    # --- jumps -------------------------------------------------------------------------------------------------------

    def _goto(self, node: Node) -> None:
        label = node.child_by_field_name("label")
        self._go_to(self.read(label) if label is not None else "", self.line(node))

    def _go_to(self, label: str, line: int) -> None:
        self.gotos.append((label, self.graph.here, self.guards, line))
        self.graph.leave(line)

    def _labeled(self, node: Node) -> None:
        label = node.child_by_field_name("label")
        block = Draft(self.line(node))
        self.graph.fall(block)
        if label is not None:
            self.labels[self.read(label)] = (block, self.guards)
        for child in node.named_children[1:]:
            self.stmt(child)

    def _break(self, node: Node) -> None:
        self._jump(self.breaks, "break", node)

    def _continue(self, node: Node) -> None:
        self._jump(self.continues, "continue", node)

    def _jump(self, targets: list[tuple[Draft, Leave]], word: str, node: Node) -> None:
        if targets:
            to, guards = targets[-1]
            self.leave_to(guards)
            self.graph.go(to)
        elif self.macro:
            self.graph.emit(Jump(word, self.line(node)))
        self.graph.leave(self.line(node))

    # --- branches ----------------------------------------------------------------------------------------------------

    def _if(self, node: Node) -> None:
        """A branch; `else if` goes on with the next one here, as long as the chain is."""
        afters = []
        following: Node | None = node
        while following is not None:
            test, then = following.child_by_field_name("condition"), following.child_by_field_name("consequence")
            other = following.child_by_field_name("alternative")
            start, end = self.line(then or following), self.last_line(following)
            yes, no, after = Draft(start), Draft(self.line(other or following)), Draft(end)
            afters.append(after)
            self.cond(test, yes, no)
            self.graph.place(yes)
            self.scope_of(then)
            self.graph.go(after)
            self.graph.place(no)
            others = other.named_children if other is not None else []
            following = others[0] if len(others) == 1 and others[0].type == "if_statement" else None
            for child in others if following is None else ():
                self.scope_of(child)
            if self.cut or self.graph.full:
                self.cut = True
                return
        for after in reversed(afters):
            self.graph.fall(after)

    def scope_of(self, node: Node | None) -> None:
        """A statement that is a scope although it may have no braces."""
        if node is not None:
            braces = node.type == "compound_statement" and self.text.clean[node.start_byte] == ord("{")
            self._scope(node.named_children if braces else [node])

    def _switch(self, node: Node) -> None:
        value = self.expr(node.child_by_field_name("condition"))
        head, after = self.graph.here, Draft(self.last_line(node))
        has_default: list[bool] = []
        self.switches.append((head, value, has_default))
        self.breaks.append((after, self.guards))
        self.graph.leave(self.line(node))
        body = node.child_by_field_name("body")
        self.scope_of(body)
        self.breaks.pop()
        self.switches.pop()
        if not has_default:
            head.edges.append((after, OpExpr("==", (value,)), True, self.line(node)))
        self.graph.fall(after)

    def _case(self, node: Node) -> None:
        value = node.child_by_field_name("value")
        block = Draft(self.line(node))
        if self.switches:
            head, tested, has_default = self.switches[-1]
            if value is None:
                has_default.append(True)
                head.edges.append((block, OpExpr("==", (tested,)), True, 0))
            else:
                head.edges.append((block, OpExpr("==", (tested, self._case_value(value))), True, 0))
        self.graph.fall(block)
        for child in node.named_children:
            if value is None or child != value:
                self.stmt(child)

    def _case_value(self, node: Node) -> Expr:
        here = self.graph.here
        self.graph.here = Draft(0)
        value = self.expr(node)
        self.graph.here = here
        if "..." in self.short(node, 200) and isinstance(value, OpExpr):
            return OpExpr("...", value.args)
        return value

    def _asked(self, named: Node) -> str:
        """What a directive asks for: the text of the node, or all behind the word where the repair put a name for it."""
        if self.text.code[named.start_byte : named.end_byte] == self.text.clean[named.start_byte : named.end_byte]:
            return self.short(named, 200)
        rest = LINE.match(self.text.clean, named.start_byte)
        return " ".join((rest[0] if rest else b"").replace(b"\\", b" ").decode("utf-8", "replace").split())[:200]

    def _preprocessor(self, node: Node) -> None:
        """Both arms of a conditional, as a branch that nobody can decide but that is the same one everywhere."""
        other = node.child_by_field_name("alternative")
        named = node.child_by_field_name("name") or node.child_by_field_name("condition")
        condition = OpExpr("#if", (Unknown(self._asked(named)) if named is not None else Unknown(),))
        inverted = node.type.endswith("ifdef") and node.children[0].type == "#ifndef"
        yes, no, after = Draft(self.line(node)), Draft(self.line(other or node)), Draft(self.last_line(node))
        self.graph.go(yes, condition, not inverted)
        self.graph.go(no, condition, inverted)
        self.graph.place(yes)
        for child in node.named_children:
            if child not in (other, named):
                self.stmt(child)
        self.graph.go(after)
        self.graph.place(no)
        self.stmt(other)
        self.graph.fall(after)
