"""What the data names is in the kernel: each function, slot and type, with its arguments, in one of three trees at least."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from tree_words import ANY, HEADERS, SOURCES, TreeWords

from reviewbot.csource.syntax import syntax
from reviewbot.kernel import KERNEL
from reviewbot.kernel.schema import Group

CALLS = ("calls", "acquire", "release", "try_", "killable", "downgrade", "transient", "take", "give", "make", "drop")
CALLS += ("create",)
"""Fields of a group with the calls that its positions are about."""
NAMES = (
    "destroy",
    "uses",
    "got",
    "noreturn",
    "transparent",
    "error_test",
    "error_or_null_test",
    "error_value",
    "last",
    "inert",
    "unwaited",
)
NAMES += ("functions", "aware")
"""Fields with other functions."""
MEMBERS = ("slots", "stacks", "fields", "takes", "runs", "field", "unless", "holds")
"""Fields with `struct.member`."""


def groups() -> Iterator[Group]:
    """Every group of the data, whatever file it is in."""
    for table in (KERNEL.api, KERNEL.tables, KERNEL.held):
        for name in table.__struct_fields__:
            yield from getattr(table, name)


def texts(group: Group, fields: tuple[str, ...]) -> Iterator[str]:
    """The names in some fields of a group; what stands for many names is left out."""
    for field in fields:
        value = getattr(group, field, ())
        for name in (value,) if isinstance(value, str) else value:
            if name and not name.endswith("*"):
                yield name


def functions() -> dict[str, int]:
    """Function or macro -> how many arguments the data counts in it."""
    found: dict[str, int] = {}
    for group in groups():
        values = [getattr(group, field) for field in group.__struct_fields__]
        positions = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
        for name in texts(group, CALLS):
            found[name] = max(found.get(name, 0), *(p + 1 for p in positions), 0)
        for name in texts(group, NAMES):
            found.setdefault(name, 0)
    for word in KERNEL.lists.word:
        found |= {name: found.get(name, 0) for name in word.names if word.kind == "function"}
    for guard in syntax().guards.values():
        found |= {name: found.get(name, 0) for name in (guard.enter, guard.leave)}
    found |= {name: max(position) + 1 for name, position in syntax().containers.items()}
    return found


def members() -> set[str]:
    """Each `struct.member` that the data names."""
    found = {name.partition(" ")[0] for group in groups() for name in texts(group, MEMBERS)}
    found = {name for name in found if "." in name}
    return found | {name for word in KERNEL.lists.word if word.kind == "field" for name in word.names}


def types() -> set[str]:
    """Each struct or typedef that the data names."""
    found = {name for word in KERNEL.lists.word if word.kind == "type" for name in word.names}
    return found | {kind for kind in syntax().variables.values() if " " not in kind}


def plain() -> set[str]:
    """Flags, variables and functions without arguments to count: words that stand somewhere."""
    found = {name for word in KERNEL.lists.word if word.kind in ("flag", "variable") for name in word.names}
    return found | KERNEL.sleepers


def missing(trees: list[Path]) -> list[str]:
    """What is in none of the trees, or with too few arguments; names that are gone or made up here are left out."""
    left = {name for group in (*KERNEL.lists.gone, *KERNEL.lists.ours) for name in group.names}
    wanted, slots, kinds = functions(), members() - left, types() - left
    words = TreeWords(
        {*wanted, *(f"{name}_noprof" for name in wanted), *kinds},
        {name.partition(".")[0] for name in slots} | kinds,
        plain() - left,
    )
    found: list[str] = []
    for folders, tree in product((HEADERS, SOURCES), trees):
        words.read(tree, folders)
        found = [
            f"{name}() has fewer than {count} arguments" if name in words.takes else f"{name}()"
            for name, count in wanted.items()
            if name not in left and (name not in words.takes or words.arguments(name) < count)
        ]
        found += [name for name in slots if name.partition(".")[2] not in words.members.get(name.partition(".")[0], ())]
        found += [f"type {name}" for name in kinds if name not in words.members and name not in words.takes]
        found += sorted(words.plain)
        if not found:
            break
    return sorted(found)


def test_what_the_data_names_is_in_a_kernel(kernel_trees: dict[str, Path | None]) -> None:
    found = missing([tree for tree in kernel_trees.values() if tree is not None])
    absent = [version for version, tree in kernel_trees.items() if tree is None]
    if found and absent:
        pytest.skip(f"{len(found)} names are in none of the trees at hand; {', '.join(absent)} may have them")
    assert found == [], "in no kernel tree: take them out, or note in words.toml when they went"


def test_arguments_are_counted_by_words() -> None:
    words = TreeWords({"foo", "bar", "baz", "baz_noprof", "kind_t"}, {"ops"}, {"FOO_FLAG"})
    words.text(
        "static inline int foo(struct ops *o,\n\t\tint (*fn)(int, int), int last)\n{\n\treturn bar(o);\n}\n"
        "#define baz(...) hooks(baz_noprof(__VA_ARGS__))\nvoid *baz_noprof(int n, int gfp);\n"
        "typedef unsigned kind_t;\nstruct ops {\n\tint (*run)(int);\n};\nenum { FOO_FLAG = 1 };\n"
    )
    assert words.takes == {"foo": 3, "baz": ANY, "baz_noprof": 2, "kind_t": ANY}
    assert (words.arguments("foo"), words.arguments("baz")) == (3, 2)
    assert "run" in words.members["ops"]
    assert words.plain == set()


def test_a_name_that_is_gone_says_when() -> None:
    known = {*functions(), *members(), *types(), *plain()}
    for group in KERNEL.lists.gone:
        assert group.doc.endswith(".")
        assert group.release < "6.1"
    assert {name for group in (*KERNEL.lists.gone, *KERNEL.lists.ours) for name in group.names} <= known
