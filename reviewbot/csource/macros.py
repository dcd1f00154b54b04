"""Function-like macros whose body calls something as pseudo functions."""

from __future__ import annotations

import re

from tree_sitter import Node

from reviewbot.csource.accessors import is_place
from reviewbot.csource.defines import STATEMENT, STRINGIFY, Define
from reviewbot.csource.ir import Block, Expr, Function, Type, Variable
from reviewbot.csource.parse import parse
from reviewbot.csource.statements import Statements
from reviewbot.csource.text import SourceText
from reviewbot.limits import MAX_MACRO_BYTES

WORTH = re.compile(rb"\w\s*\(|->|\w\s*\.|&|\{|=")


def macro(define: Define) -> Function | None:
    """A function-like macro as a pseudo function.

    None for one that pastes names together, and for one that neither calls nor reaches into anything, unless it is
    empty: that says that it does nothing.
    """
    raw = define.raw.replace(b"\\\n", b" \n").replace(b"\\\r\n", b"  \n")
    if define.parameters is None or len(raw) > MAX_MACRO_BYTES or b"##" in raw:
        return None
    if not raw.strip():
        return _pseudo(define, (), (Block((), (), define.line),), None, readable=True)
    if not WORTH.search(raw):
        return None
    raw = STRINGIFY.sub(b" ", raw)
    for expression in (False,) if STATEMENT.match(raw) or raw.rstrip().endswith((b";", b"}")) else (True, False):
        parsed = parse(b"void f(void) {(" + raw + b");}" if expression else b"void f(void) {" + raw + b";}")
        root = parsed.tree.root_node.named_children
        if len(root) == 1 and root[0].type == "function_definition" and not root[0].has_error:
            return _function(define, parsed.text, root[0], expression)
    return _pseudo(define, (), (), None, readable=False)


def _function(define: Define, text: SourceText, node: Node, expression: bool) -> Function:
    reader = Statements(text, define.line, macro=True, start=define.line)
    body = node.child_by_field_name("body")
    value: Expr | None = None
    if expression and body is not None and body.named_children and body.named_children[0].named_children:
        value = reader.value(body.named_children[0].named_children[0])
    elif body is not None:
        reader.body(body)
    if reader.cut:
        return _pseudo(define, (), (), None, readable=False)
    blocks = reader.graph.finish()
    return _pseudo(define, tuple(reader.locals.values()), blocks, value, readable=True)


def _pseudo(
    define: Define,
    locals_: tuple[Variable, ...],
    blocks: tuple[Block, ...],
    value: Expr | None,
    *,
    readable: bool,
) -> Function:
    names = [name.removesuffix("...").strip() or "__VA_ARGS__" for name in define.parameters or ()]
    return Function(
        name=define.name,
        line=define.line,
        end=define.line + define.raw.count(b"\n"),
        result=Type(""),
        parameters=tuple(Variable(name, Type("")) for name in names),
        locals=locals_,
        blocks=blocks,
        macro=True,
        unreadable=not readable,
        value=value,
        gives=value if value is not None and is_place(value, names) else None,
    )
