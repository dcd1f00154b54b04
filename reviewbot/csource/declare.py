"""Declarations: types, declarators, struct bodies, initialiser tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from reviewbot.csource.ir import Struct, Type, Variable
from reviewbot.csource.syntax import syntax
from reviewbot.csource.text import SourceText
from reviewbot.limits import MAX_EXPRESSION_TEXT, MAX_STRUCT_NESTING

SPECIFIERS = frozenset({"struct_specifier", "union_specifier", "enum_specifier"})
NAMES = frozenset({"identifier", "field_identifier", "type_identifier", "statement_identifier"})
UNTOLD = "?"
"""The value of an enumerator that an #if decides."""
INFERRED = frozenset({"auto", "__auto_type"})
"""Words for the type that the initialiser has; the form says `auto`."""


class DeclarationReader:
    """Reads names and text of nodes back from the file as written."""

    def __init__(self, text: SourceText, first_line: int = 1) -> None:
        self.text = text
        self.first_line = first_line

    def line(self, node: Node) -> int:
        """Line of the file that the node starts on."""
        return node.start_point[0] + self.first_line

    def last_line(self, node: Node) -> int:
        """Line of the file that the node ends on."""
        return node.end_point[0] + self.first_line

    def read(self, node: Node) -> str:
        """The text of a node as written, comments blanked."""
        return self.text.clean[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def short(self, node: Node, limit: int) -> str:
        """The same on one line and cut to `limit` characters."""
        raw = self.text.clean[node.start_byte : min(node.end_byte, node.start_byte + 4 * limit)]
        return " ".join(raw.decode("utf-8", "replace").split())[:limit]

    def static_before(self, node: Node) -> bool:
        """Whether the file has `static` on the line before the node, where the repair took it away."""
        start = self.text.clean.rfind(b"\n", 0, node.start_byte) + 1
        return b"static" in self.text.clean[start : node.start_byte].split()

    def word(self, offset: int) -> str:
        """The identifier that the file has at `offset`."""
        end = offset
        clean = self.text.clean
        while end < len(clean) and (clean[end] in b"_" or clean[end : end + 1].isalnum()):
            end += 1
        return clean[offset:end].decode("ascii", "replace")


@dataclass(slots=True)
class Declared:
    """What a declarator says: the name (None if abstract), the pointers, and the innermost function's node."""

    name: str | None
    at: Node | None
    pointers: int = 0
    array: bool = False
    function: Node | None = None
    pointer_to_function: bool = False


class Declarations(DeclarationReader):
    """Reads declarations; struct bodies met on the way are collected in `structs`, enumerators with their values in
    `enumerators`."""

    def __init__(self, text: SourceText, first_line: int = 1) -> None:
        super().__init__(text, first_line)
        self.structs: list[Struct] = []
        self.enumerators: list[tuple[str, str]] = []
        self.bodies = 0

    def type_name(self, node: Node | None, owner: str) -> str:
        """Name of a type specifier; `owner` names one that has none itself (`outer.member`)."""
        if node is None:
            return "int"
        if node.type in SPECIFIERS:
            named, body = node.child_by_field_name("name"), node.child_by_field_name("body")
            name = self.read(named) if named is not None else owner
            if body is not None:
                if node.type == "enum_specifier":
                    self._enum(body)
                else:
                    members = tuple(self.members(body, name))
                    self.structs.append(Struct(name, members, self.line(node), node.type == "union_specifier"))
            return name
        if node.type == "type_identifier":
            word = self.word(node.start_byte)  # of `DECLARE_BITMAP(x, 8) = ...` the repair left a letter
            return "typeof" if word.strip("_") == "typeof" else syntax().variables.get(word, word)
        if self.word(node.start_byte) in INFERRED:
            return "auto"
        return " ".join(self.text.code[node.start_byte : node.end_byte].decode("ascii", "replace").split())[:80]

    def _enum(self, body: Node) -> None:
        """Read the enumerators: one without a value is the one before plus one, which is not told across an #if."""
        first, after = "", 0
        for child in body.named_children:
            if child.type == "enumerator":
                value = child.child_by_field_name("value")
                if value is not None:
                    first, after = f"({self.short(value, MAX_EXPRESSION_TEXT)})", 0
                text = f"{first} + {after}" if first and after else first or str(after)
                self.enumerators.append((self.read(child.child_by_field_name("name") or child), text))
                after += 1
            elif child.type.startswith("preproc_"):
                self._conditional_enumerators(child)
                first, after = UNTOLD, 0

    def _conditional_enumerators(self, node: Node) -> None:
        """Collect the enumerators of an #if: which of its arms there is decides what they are worth."""
        stack = [node]
        while stack:
            for child in stack.pop().named_children:
                if child.type == "enumerator":
                    self.enumerators.append((self.read(child.child_by_field_name("name") or child), UNTOLD))
                elif child.type.startswith("preproc_"):
                    stack.append(child)

    def declarator(self, node: Node | None) -> Declared:
        """Walk a declarator down to its name."""
        said = Declared(None, None)
        while node is not None:
            kind = node.type
            if kind in NAMES:
                said.name, said.at = self.read(node), node
                break
            if kind in ("pointer_declarator", "abstract_pointer_declarator"):
                said.pointers += 1
            elif kind in ("array_declarator", "abstract_array_declarator"):
                said.array = True
            elif kind in ("function_declarator", "abstract_function_declarator"):
                said.function, said.pointer_to_function = node, False
            elif kind in ("parenthesized_declarator", "abstract_parenthesized_declarator"):
                said.pointer_to_function = said.function is not None and _has_pointer(node)
            inner = node.child_by_field_name("declarator")
            if inner is None:
                inner = next((c for c in node.named_children if c.type in NAMES or c.type.endswith("declarator")), None)
            node = inner
        if said.pointer_to_function:
            said.pointers -= 1
        return said

    def typed(self, base: str, said: Declared) -> Type:
        """The type of a declared name."""
        return Type(base, max(0, said.pointers), said.array, said.pointer_to_function)

    def members(self, body: Node, owner: str) -> Iterator[Variable]:
        """Members of a struct or union body; those of anonymous members are its own."""
        self.bodies += 1
        yield from self._members(body, owner) if self.bodies <= MAX_STRUCT_NESTING else ()
        self.bodies -= 1

    def _members(self, body: Node, owner: str) -> Iterator[Variable]:
        for node in body.named_children:
            if node.type.startswith("preproc_") or node.type == "ERROR":
                yield from self.members(node, owner)
                continue
            if node.type != "field_declaration":
                continue
            kind = node.child_by_field_name("type")
            declarators = node.children_by_field_name("declarator")
            if not declarators:
                inner = kind.child_by_field_name("body") if kind is not None else None
                if inner is not None and kind is not None and kind.type != "enum_specifier":
                    if (named := kind.child_by_field_name("name")) is not None:
                        self.type_name(kind, self.read(named))
                    yield from self.members(inner, owner)
                elif kind is not None:
                    self.type_name(kind, owner)
                continue
            base = None
            for declarator in declarators:
                said = self.declarator(declarator)
                if said.name is None:
                    continue
                if base is None:
                    base = self.type_name(kind, f"{owner}.{said.name}")
                yield Variable(said.name, self.typed(base, said), line=self.line(said.at or node))

    def parameters(self, function: Node | None) -> Iterator[Variable]:
        """Parameters of a function declarator; an unnamed one has an empty name."""
        listed = function.child_by_field_name("parameters") if function is not None else None
        for node in listed.named_children if listed is not None else ():
            if node.type != "parameter_declaration":
                continue
            said = self.declarator(node.child_by_field_name("declarator"))
            base = self.type_name(node.child_by_field_name("type"), "")
            if said.name is None and base == "void" and not said.pointers:
                continue
            kind = Type(base, max(0, said.pointers) + said.array, False, said.function is not None)
            yield Variable(said.name or "", kind, line=self.line(node))

    def stored(self, node: Node) -> frozenset[str]:
        """Storage class words of a declaration."""
        return frozenset(
            self.text.code[c.start_byte : c.end_byte].decode("ascii", "replace")
            for c in node.children
            if c.type == "storage_class_specifier"
        )


def _has_pointer(node: Node) -> bool:
    return any(child.type.endswith("pointer_declarator") for child in node.named_children)
