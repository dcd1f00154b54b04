"""The key of a function is made and taken apart in one file; so is the identity of a file's own variable."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from test_layers import MODULES, room

from reviewbot.analysis.code.identity import field_of, file_with, in_file, without_file
from reviewbot.analysis.events.kinds import Submit
from reviewbot.function_key import NO_FUNCTION, file_of, is_function, key_of, keys_in, name_of
from reviewbot.types import Place, Step

IN_ONE_PLACE = {"reviewbot.function_key", "reviewbot.analysis.code.identity"}
KNOW_KEYS = ("reviewbot.analysis", "reviewbot.detect", "reviewbot.difference", "reviewbot.rule", "reviewbot.replay")
"""Rooms, with `heuristics`, in which a text with a colon is a key or an identity."""
TAKE_APART = {"partition", "rpartition", "split", "rsplit", "index", "rindex", "find", "rfind", "join"}
TAKE_APART |= {"endswith", "removesuffix"}


def _colon(node: ast.expr) -> bool:
    """Whether an expression is a text that begins or ends with a colon and is nothing else."""
    return isinstance(node, ast.Constant) and node.value == ":"


def _by_hand(tree: ast.AST) -> Iterator[int]:
    """Lines that split a text at a colon, or join two by one."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args) if attr in TAKE_APART:
                if any(map(_colon, (value, *args))):
                    yield node.lineno
            case ast.JoinedStr(values=[*_, ast.FormattedValue(), colon, ast.FormattedValue()]) if _colon(colon):
                yield node.lineno
            case ast.JoinedStr(values=[ast.FormattedValue(), colon, *_]) if _colon(colon):
                yield node.lineno
            case ast.BinOp(op=ast.Add(), left=left, right=right) if _colon(left) or _colon(right):
                yield node.lineno


def test_a_key_and_what_it_is_made_of() -> None:
    key = key_of("drivers/md/x.c", "x_map")
    assert (key, file_of(key), name_of(key), is_function(key)) == (
        "drivers/md/x.c:x_map",
        "drivers/md/x.c",
        "x_map",
        True,
    )
    tables = key_of("drivers/md/x.c")
    assert (tables, file_of(tables), name_of(tables), is_function(tables)) == (
        "drivers/md/x.c:",
        "drivers/md/x.c",
        "",
        False,
    )
    assert not NO_FUNCTION
    assert [*keys_in("work of drivers/md/x.c:x_map, by inc/y.h:y() and z:z")] == [key, key_of("inc/y.h", "y")]


def test_places_facts_and_steps_know_the_key_of_their_function() -> None:
    at = Place("a.c", 3, "f")
    assert at.key == Submit(function="f", at=at).key == Step("t", "waits", "a.c", 3, "f").key == key_of("a.c", "f")


def test_identities_of_variables() -> None:
    own = in_file("a.c", "lists")
    assert (own, file_with(own), without_file(own)) == ("a.c:lists", "a.c", "lists")
    assert (file_with("system_wq"), without_file("system_wq")) == ("", "system_wq")
    assert (field_of(own, "head.next"), field_of("system_wq", "")) == ("a.c:lists:head.next", "system_wq")


def test_the_search_sees_keys_that_are_taken_apart_by_hand() -> None:
    by_hand = [
        'key.rpartition(":")[2]',
        'f"{file}:{name}"',
        'f"{path}:"',
        'file + ":" + name',
        '":".join((file, name))',
        "key.endswith(':')",
    ]
    assert all(list(_by_hand(ast.parse(line))) for line in by_hand)
    assert not list(_by_hand(ast.parse('f"{at}: {text}", "a: b".split()')))


def test_keys_and_identities_are_taken_apart_in_one_place() -> None:
    found = [
        f"{path.name}:{line}"
        for module, path in MODULES.items()
        if room(module).startswith((*KNOW_KEYS, "heuristics")) and module not in IN_ONE_PLACE
        for line in _by_hand(ast.parse(path.read_text()))
    ]
    assert not found, found
