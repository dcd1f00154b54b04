"""Functions and macros that only say where something is."""

from __future__ import annotations

import pytest

from reviewbot.analysis.code.expr import show
from reviewbot.csource.accessors import put_in
from reviewbot.csource.ir import Name
from reviewbot.csource.lower import lower

HEAD = "struct whole { int n; struct part { int lock; } part; struct part *other; struct part many[4]; };\n"


def gives(text: str, name: str = "at") -> str:
    """What the function or macro of a name gives, as C; empty for one that does more."""
    unit = lower((HEAD + text).encode())
    return show(next(f for f in unit.functions if f.name == name).gives)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("static inline int *at(struct whole *w) { return &w->part.lock; }", "&w->part.lock"),
        ("static struct part *at(struct whole *w) { return w->other; }", "w->other"),
        ("struct whole *at(struct part *p) { return container_of(p, struct whole, part); }", "container_of(p, whole)"),
        ("struct part *at(struct whole *w, int i) { return &w->many[i & 3]; }", "&w->many[i & 3]"),
        ("struct part *at(struct whole *w) { return found(w->other); }", "found(w->other)"),
        ("#define at(w) (&(w)->part)\n", "&w->part"),
        ("#define at(w) found(w)\n", "found(w)"),
    ],
)
def test_the_place_that_is_all_that_is_given(text: str, place: str) -> None:
    assert gives(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "int at(struct whole *w) { return w->n + 1; }",
        "struct part *at(struct whole *w) { return w; }",
        "struct part *at(struct whole *w) { w->n++; return w->other; }",
        "struct part *at(struct whole *w) { if (w->n) return &w->part; return w->other; }",
        "struct part *at(struct whole *w) { take(w); return w->other; }",
        "static struct whole one; struct part *at(struct whole *w) { return one.other; }",
        "struct part *at(void) { return current(); }",
        "#define at(w) ((w)->n ? &(w)->part : (w)->other)\n",
        "#define at(w) do { (w)->n = 0; } while (0)\n",
    ],
)
def test_what_does_more_gives_no_place(text: str) -> None:
    assert gives(text) == ""


def test_other_expressions_in_the_place_of_parameters() -> None:
    unit = lower((HEAD + "struct part *at(struct whole *w, int i) { return found(&w->many[i]); }").encode())
    place = unit.functions[0].gives
    assert place is not None
    assert show(put_in(place, {"w": Name("mine"), "i": Name("n")})) == "found(&mine->many[n])"
    assert show(put_in(place, {})) == show(place)
