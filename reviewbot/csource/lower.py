"""C text -> `ir.Unit`: reads what stands at file scope and hands bodies on."""

from __future__ import annotations

import re

import msgspec
from tree_sitter import Node

from reviewbot.csource.accessors import place_given
from reviewbot.csource.classes import class_functions
from reviewbot.csource.declare import Declarations
from reviewbot.csource.defines import defines, expandable
from reviewbot.csource.definitions import written
from reviewbot.csource.expressions import Expressions
from reviewbot.csource.initialisers import Initialisers
from reviewbot.csource.ir import Call, CallEvent, Function, Name, TranslationUnit, Type, Variable
from reviewbot.csource.macros import macro
from reviewbot.csource.parse import Parsed, parse
from reviewbot.csource.statements import Statements
from reviewbot.csource.syntax import syntax
from reviewbot.limits import MAX_FILE_BYTES, MAX_LOST_LINES


def lower(source: bytes) -> TranslationUnit:
    """The intermediate form of one C file.

    Takes any bytes and never fails: what cannot be read is `Unknown`, a function with an error in it `unreadable`.
    """
    if len(source) > MAX_FILE_BYTES:
        return TranslationUnit(errors=1)
    parsed = parse(source)
    reader = FileReader(parsed)
    reader.read_file(parsed.tree.root_node)
    if parsed.errors:
        reader.read_lost()
    return reader.unit()


class FileReader(Declarations):
    """Collects what a file says."""

    def __init__(self, parsed: Parsed, first_line: int = 1) -> None:
        super().__init__(parsed.text, first_line)
        self.parsed = parsed
        self.defines = defines(parsed.text)
        self.macros = expandable(self.defines)
        self.functions: dict[str, Function] = {}
        self.typedefs: dict[str, Type] = {}
        self.variables: dict[str, Variable] = {}
        self.prototypes: dict[str, tuple[str, Type, tuple[Variable, ...]]] = {}
        self.tables = Initialisers(parsed.text, first_line)
        self.calls: list[Call] = []
        self.previous_end = 0

    def unit(self) -> TranslationUnit:
        """All of it."""
        self._loose_calls()
        for define in self.defines:
            if (made := macro(define)) is not None:
                self._keep(made)
        for made in class_functions(self.text, self.calls):
            self._keep(made)
        exports = [
            argument.name
            for call in self.calls
            if call.callee.startswith("EXPORT_")
            for argument in call.args[:1]
            if isinstance(argument, Name)
        ]
        structs = {struct.name: struct for struct in self.structs if struct.name}
        return TranslationUnit(
            functions=tuple(self.functions.values()),
            structs=tuple(structs.values()),
            typedefs=tuple(self.typedefs.items()),
            variables=tuple(self.variables.values()),
            prototypes=tuple(self.prototypes.values()),
            defines=tuple(dict.fromkeys((d.name, d.body) for d in self.defines if d.parameters is None)),
            slots=tuple(self.tables.slots),
            enums=tuple(dict.fromkeys(self.enumerators)),
            includes=tuple(self._includes()),
            exports=tuple(dict.fromkeys(exports)),
            calls_at_file_scope=tuple(sorted(self.calls, key=lambda call: call.line)),
            level=self.parsed.level,
            errors=self.parsed.errors,
        )

    def _includes(self) -> list[str]:
        return [
            found[1].decode("utf-8", "replace")
            for name, start, end in self.text.directives
            if name == "include" and (found := re.match(rb'\s*[<"]([^>"\n]+)[>"]', self.text.clean[start:end]))
        ]

    def read_lost(self) -> None:
        """Read functions by themselves that an error nearby has swallowed, going by how the text is laid out."""
        lines = self.text.source.split(b"\n")
        for lost in written(self.text.clean):
            if lost.name in self.functions or lost.end - lost.line > MAX_LOST_LINES:
                continue
            parsed = parse(b"\n".join(lines[lost.line - 1 : lost.end]))
            alone = FileReader(parsed, lost.line)
            alone.macros = self.macros
            alone.read_file(parsed.tree.root_node)
            if lost.name in alone.functions:
                self._keep(alone.functions[lost.name])
                self.structs.extend(alone.structs)
                self.enumerators.extend(alone.enumerators)
                self.tables.slots.extend(alone.tables.slots)

    # --- file scope --------------------------------------------------------------------------------------------------

    def read_file(self, root: Node) -> None:
        """Read the nodes at file scope, inside conditionals too."""
        stack = list(reversed(root.children))
        while stack:
            node = stack.pop()
            kind = node.type
            if kind == "function_definition":
                self._function(node)
            elif kind == "declaration":
                self._declaration(node)
            elif kind in ("struct_specifier", "union_specifier", "enum_specifier"):
                self.type_name(node, "")
            elif kind == "type_definition":
                self._typedef(node)
            elif kind == "expression_statement":
                self._call(node)
            elif kind.startswith("preproc_") or kind in ("ERROR", "linkage_specification", "declaration_list"):
                stack.extend(reversed(node.named_children))
                continue
            self.previous_end = node.end_byte

    def _function(self, node: Node) -> None:
        said = self.declarator(node.child_by_field_name("declarator"))
        body = node.child_by_field_name("body")
        if said.function is None or body is None or said.name is None or said.at is None:
            return
        name, by_macro = self._function_name(node, said.at, said.name)
        parameters = () if by_macro else tuple(self.parameters(said.function))
        reader = Statements(
            self.text, self.first_line, parameters=parameters, start=self.line(node), macros=self.macros
        )
        reader.body(body)
        blocks = () if reader.cut else reader.graph.finish()
        self.structs.extend(reader.structs)
        self.enumerators.extend(reader.enumerators)
        for kind, variable, values in reader.tables:
            self.tables.read_value(kind, variable, values)
        attributes, annotations = self._attributes(node, body)
        stored = self.stored(node)
        made = Function(
            name=name,
            line=self.line(node),
            end=self.last_line(node),
            result=Type("") if by_macro else self.typed(self.type_name(node.child_by_field_name("type"), ""), said),
            parameters=parameters,
            locals=tuple(reader.locals.values()),
            blocks=blocks,
            static="static" in stored or (by_macro and self.static_before(node)),
            unreadable=reader.cut or node.has_error,
            annotations=annotations,
            attributes=(*sorted(stored - {"static"}), *attributes),
            gives=place_given({p.name for p in parameters}, blocks),
        )
        self._keep(made)

    def _keep(self, made: Function) -> None:
        """Of two versions of a function the longer one stays, and says that there was another; a macro gives way."""
        other = self.functions.get(made.name)
        if other is not None and other.macro == made.macro:
            longer = max(other, made, key=lambda function: sum(len(block.events) for block in function.blocks))
            attributes = tuple(dict.fromkeys((*longer.attributes, "#if")))
            self.functions[made.name] = msgspec.structs.replace(longer, attributes=attributes)
        elif other is None or other.macro:
            self.functions[made.name] = made

    def _function_name(self, node: Node, at: Node, name: str) -> tuple[str, bool]:
        """The function's name, and whether a macro made it whose arguments are no parameters."""
        word = self.word(node.start_byte)
        table = syntax().function_macros
        system_call = re.fullmatch(r"((?:COMPAT_)?SYSCALL_DEFINE|BPF_CALL_)(\d)", word)
        if system_call and system_call[2] != "0":
            return table[system_call[1]].format(name), False
        by_macro = len(word) > 1 and self.text.code[node.start_byte + 1 : node.start_byte + 2] == b" "
        if not by_macro and not system_call:
            return name, False
        inner = at.parent.child_by_field_name("parameters") if at.parent is not None else None
        first = self.read(inner.named_children[0]) if inner is not None and inner.named_children else ""
        return table.get(system_call[1] if system_call else word, "{0}").format(first) or word, True

    def _attributes(self, node: Node, body: Node) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """Annotation words before a body, and the lock annotations with their arguments."""
        table = syntax()
        head = self.text.clean[max(self.previous_end, node.start_byte - 200) : body.start_byte]
        words = [w.decode() for w in re.findall(rb"\w+", head) if w in table.annotations]
        found = re.findall(rb"\b(__\w+)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)", head)
        kept = [
            (table.kept_annotations[w.decode()], " ".join(a.decode("utf-8", "replace").split())[:100])
            for w, a in found
            if w.decode() in table.kept_annotations
        ]
        return tuple(dict.fromkeys(words)), tuple(kept)

    def _declaration(self, node: Node) -> None:
        stored = self.stored(node)
        base: str | None = None
        declarators = node.children_by_field_name("declarator")
        if not declarators:
            self.type_name(node.child_by_field_name("type"), "")
        for declarator in declarators:
            initialised = declarator.type == "init_declarator"
            said = self.declarator(declarator.child_by_field_name("declarator") if initialised else declarator)
            if said.name is None:
                continue
            if base is None:
                base = self.type_name(node.child_by_field_name("type"), said.name)
            kind = self.typed(base, said)
            if said.function is not None and not said.pointer_to_function:
                if said.name not in self.prototypes and "static" not in stored:  # else the file itself defines it
                    self.prototypes[said.name] = (said.name, kind, tuple(self.parameters(said.function)))
                continue
            value = declarator.child_by_field_name("value") if initialised else None
            init = self.tables.read_value(kind, said.name, value) if value is not None else None
            if said.name not in self.variables or "extern" not in stored:
                self.variables[said.name] = Variable(said.name, kind, "static" in stored, self.line(declarator), init)

    def _typedef(self, node: Node) -> None:
        kind = node.child_by_field_name("type")
        base: str | None = None
        for declarator in node.children_by_field_name("declarator"):
            said = self.declarator(declarator)
            if said.name is None:
                continue
            if base is None:
                base = self.type_name(kind, said.name)
            function = said.function is not None
            self.typedefs[said.name] = Type(base, max(0, said.pointers), said.array, function)

    # --- macro calls -------------------------------------------------------------------------------------------------

    def _call(self, node: Node) -> None:
        if inner := node.named_children:
            self._collect(Expressions(self.text, self.first_line), inner[0], self.static_before(node))

    def _collect(self, reader: Expressions, node: Node, static: bool) -> None:
        """Keep the calls of a macro call; DEFINE_MUTEX(x) and its like are variables."""
        reader.expr(node)
        found = [event.call for event in reader.graph.entry.events if isinstance(event, CallEvent)]
        self.calls.extend(found)
        call = found[-1] if found else None
        if call is not None and call.callee in reader.table.variables and call.args and isinstance(call.args[0], Name):
            name, kind = call.args[0].name, Type(reader.table.variables[call.callee])
            self.variables.setdefault(name, Variable(name, kind, static, call.line))

    def _loose_calls(self) -> None:
        """Macro calls that no semicolon ends: each is read as if it had one."""
        for start, end in self.text.loose:
            line = 1 + self.text.source.count(b"\n", 0, start)
            for reader, node in Statements.alone(self.text.clean[start:end], line):
                self._collect(reader, node, False)
