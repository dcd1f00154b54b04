"""The tables of macros that are syntax hold together."""

from __future__ import annotations

from importlib.resources import files

import msgspec
import pytest

from reviewbot.csource.lower import lower
from reviewbot.csource.syntax import cursors, syntax


def test_every_table_says_what_it_is() -> None:
    raw = msgspec.toml.decode((files("reviewbot.kernel") / "syntax.toml").read_bytes())
    assert all(len(table["doc"]) > 20 for table in raw.values())


def test_words_are_words_and_fit() -> None:
    table = syntax()
    for words in (table.annotations, table.annotation_calls, table.loops, table.typed_variables):
        assert all(word.decode().isidentifier() for word in words)
    assert all(len(new) <= len(old) for old, new in table.spellings.items())
    assert not table.annotations & table.annotation_calls
    assert {guard.ok for guard in table.guards.values()} == {"", "zero", "nonzero"}


def test_the_longest_start_of_a_loops_name_counts() -> None:
    assert cursors("list_for_each_entry") == (0,)
    assert cursors("list_for_each_entry_safe_reverse") == (0, 1)
    assert cursors("for_each_sg") == (1,)
    assert cursors("walk_all") == ()


@pytest.mark.parametrize("name", sorted(syntax().guards))
def test_each_guard_can_be_used(name: str) -> None:
    (f,) = lower(f"void f(struct s *s)\n{{\n\tscoped_guard({name}, &s->x)\n\t\tg();\n}}\n".encode()).functions
    events = [e for b in f.blocks for e in b.events if getattr(e, "guard", "")]
    guard = syntax().guards[name]
    assert [(e.guard, e.call.callee) for e in events] == [("enter", guard.enter), ("leave", guard.leave)]
    assert not f.unreadable


@pytest.mark.parametrize("macro", sorted(syntax().variables))
def test_each_macro_of_a_variable_declares_it(macro: str) -> None:
    (f,) = lower(f"void f(void)\n{{\n\t{macro}(name, 1);\n}}\n".encode()).functions
    assert [(v.name, v.type.name) for v in f.locals] == [("name", syntax().variables[macro])]
    (v,) = lower(f"static {macro}(name, 1);\n".encode()).variables
    assert (v.name, v.type.name, v.static) == ("name", syntax().variables[macro], True)
