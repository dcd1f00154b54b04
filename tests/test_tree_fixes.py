"""Fixes that two trees differ in: what is put back, and that each recipe is one."""

from __future__ import annotations

import pytest
from tree_fixes import Fix, fixes, taken_back

NOW = """int turn(struct mill *m);

static int stop(struct mill *m)
{
	mutex_lock(&m->lock);
	turn_locked(m);
	wake_up(&m->wait);
	mutex_unlock(&m->lock);
	return 0;
}

int
turn (struct mill *m)
{
	return 1;
}
"""
WAS = """static void stop(struct mill *m)
{
	turn(m);
}

int turn(struct mill *m)
{
	return 0;
}
"""


def back(functions: list[str], words: dict[str, str] | None = None, without: list[str] | None = None) -> str:
    """What the newer text becomes."""
    return taken_back(Fix("x", "2", "1", "x.c", functions, "", "", words or {}, without or []), NOW, WAS)


def test_functions_become_those_of_the_older_tree() -> None:
    made = back(["stop", "turn"])
    assert made == "int turn(struct mill *m);\n\n" + WAS


def test_of_what_has_changed_otherwise_too_only_words_do() -> None:
    assert back(["stop"], {"turn_locked": "turn"}) == NOW.replace("turn_locked", "turn")


def test_lines_that_call_something_go() -> None:
    assert back(["stop"], without=["wake_up"]) == NOW.replace("\twake_up(&m->wait);\n", "")


@pytest.mark.parametrize(("functions", "words"), [(["grind"], {}), (["stop"], {"grind": "turn"})])
def test_what_is_not_there_is_said(functions: list[str], words: dict[str, str]) -> None:
    with pytest.raises(LookupError, match="grind"):
        back(functions, words)


def test_each_recipe_stands_once() -> None:
    known = fixes()
    assert len({fix.id for fix in known}) == len(known)
    assert all(fix.why.endswith(".") and fix.tree != fix.older for fix in known)
