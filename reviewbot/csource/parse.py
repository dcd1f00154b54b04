"""C text to a syntax tree: repair, tree-sitter, and a harder repair where errors are left."""

from __future__ import annotations

from dataclasses import dataclass

import tree_sitter_c
from tree_sitter import Language, Node, Parser, Tree

from reviewbot.csource.conditionals import without_directives
from reviewbot.csource.repair import repair
from reviewbot.csource.text import SourceText, layers

PARSER = Parser(Language(tree_sitter_c.language()))


@dataclass(slots=True)
class Parsed:
    """A file's layers, the tree of its repaired code, how hard it was repaired (1 to 3) and the error nodes left."""

    text: SourceText
    tree: Tree
    level: int
    errors: int


def errors(root: Node) -> list[Node]:
    """The outermost error and missing nodes below `root`."""
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        if node.is_error or node.is_missing:
            found.append(node)
        elif node.has_error:
            stack.extend(node.children)
    return found


def parse(source: bytes) -> Parsed:
    """Parse one file.

    Where an error is left, conditionals are blanked (level 2): in a function only the first arm of each stays, as both
    would run one after the other; in a list or a struct all do. If that does not help, only the first arms stay there
    too (level 3). The level with the fewest errors is the one that counts.
    """
    text = layers(source)
    repair(text)
    best = _parsed(text, 1)
    if not best.errors:
        return best
    ranges = _in_error(best.tree.root_node)
    functions = [range_ for range_, function in ranges.items() if function]
    harder = _harder(text, [r for r in ranges if r not in functions], functions)
    if harder.code == text.code:
        return best
    second = _parsed(harder, 2)
    best = min(best, second, key=lambda parsed: parsed.errors)
    if still := list(_in_error(second.tree.root_node)):
        lists = [r for r in ranges if r not in functions and not _touches(r, still)]
        third = _parsed(_harder(text, lists, [*functions, *still]), 3)
        best = min(best, third, key=lambda parsed: parsed.errors)
    return best


def _harder(text: SourceText, both: list[tuple[int, int]], first: list[tuple[int, int]]) -> SourceText:
    """The text without conditionals: with all arms in the ranges `both`, with the first arm in the ranges `first`."""
    harder = SourceText(text.source, text.clean, bytearray(text.code), text.directives, text.loose)
    without_directives(harder, first, first_arm=True)
    without_directives(harder, both, first_arm=False)
    return harder


def _touches(one: tuple[int, int], others: list[tuple[int, int]]) -> bool:
    return any(start < one[1] and one[0] < stop for start, stop in others)


def _parsed(text: SourceText, level: int) -> Parsed:
    tree = PARSER.parse(bytes(text.code))
    return Parsed(text, tree, level, len(errors(tree.root_node)))


def _in_error(root: Node) -> dict[tuple[int, int], bool]:
    """Ranges of the definitions that hold an error, and whether they are functions.

    Those inside a conditional at file scope count one by one.
    """
    ranges, stack = {}, list(root.children)
    while stack:
        node = stack.pop()
        if not node.has_error:
            continue
        if node.type.startswith("preproc_") and any(child.type == "function_definition" for child in node.children):
            stack.extend(node.children)
        else:
            ranges[node.start_byte, node.end_byte] = node.type == "function_definition"
    return ranges
