"""Marks in front of the statements of some lines, put into the text of a file without moving any line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from tree_sitter import Node

from reviewbot.csource.parse import parse

_STATEMENT = "_statement"
_BODY_OF = frozenset(("if_statement", "else_clause", "while_statement", "for_statement", "do_statement"))


def marked(source: bytes, lines: Collection[int], mark: Callable[[int], str]) -> tuple[bytes, tuple[int, ...]]:
    """The file with a mark in front of each statement that begins in one of the lines, and the lines that got one.

    In: what a mark is, a statement on one line, by the line. A body without braces gets them. Where the text could not be
    read without errors there is no mark.
    """
    wanted = frozenset(lines)
    parts: list[tuple[int, bytes]] = []
    found = []
    for node in _statements(parse(source).tree.root_node):
        line = node.start_point[0] + 1
        if line not in wanted:
            continue
        found.append(line)
        text = f"{mark(line)} ".encode()
        if node.parent is not None and node.parent.type == "compound_statement":
            parts.append((node.start_byte, text))
        else:
            parts += [(node.start_byte, b"{ " + text), (node.end_byte, b" }")]
    made, at = [], 0
    for place, text in sorted(parts, key=lambda part: part[0]):
        made += [source[at:place], text]
        at = place
    return b"".join([*made, source[at:]]), tuple(sorted(set(found)))


def _statements(root: Node) -> Iterator[Node]:
    """The statements of blocks, and those that are a body without a block, of functions without errors."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_error or (node.type == "function_definition" and node.has_error):
            continue
        stack.extend(reversed(node.children))
        above = node.parent
        if above is None or not node.type.endswith(_STATEMENT) or node.has_error or not _in_function(node):
            continue
        if node.type in ("compound_statement", "labeled_statement", "case_statement"):
            continue
        if above.type == "compound_statement" or (above.type in _BODY_OF and not _is_else_if(node, above)):
            yield node


def _in_function(node: Node) -> bool:
    above = node.parent
    while above is not None and above.type != "function_definition":
        above = above.parent
    return above is not None


def _is_else_if(node: Node, above: Node) -> bool:
    return above.type == "else_clause" and node.type == "if_statement"
