"""Constants that a call hands down: which of its calls the callee makes then, and what it hands on."""

from __future__ import annotations

import pytest
from small import program

FILE = "drivers/md/small.c"
FREE = """
struct head { int x; };
struct item { struct dev *d; struct head head; };
static void inner(struct head *h, void *p) { if (!h) synchronize_rcu(); p = 0; }
static void outer(struct head *h, void *p) { inner(h, p); }
static void bare(void *p, int how) { if (how) msleep(how); outer(0, p); }
"""


@pytest.mark.parametrize(
    ("call", "waits"),
    [
        ("outer(&i->head, i)", set()),
        ("outer(NULL, i)", {"rcu"}),
        ("outer(h, i)", {"rcu"}),
        ("inner(&i->head, i)", set()),
        ("bare(i, 0)", {"rcu"}),
        ("bare(i, 5)", {"rcu", "sleep timeout"}),
    ],
)
def test_what_a_constant_rules_out_is_no_effect(call: str, waits: set[str]) -> None:
    found = program(f"{FREE} void f(struct item *i, struct head *h) {{ {call}; }}")
    assert {e.detail for e in found.does(f"{FILE}:f") if e.kind == "wait"} == waits


def test_a_parameter_that_is_set_is_not_what_was_handed_in() -> None:
    text = """
static void inner(struct dev *d) { if (d->flag) d = 0; if (!d) synchronize_rcu(); }
void f(struct dev *d) { inner(&d[1]); }
"""
    assert {e.detail for e in program(text).does(f"{FILE}:f") if e.kind == "wait"} == {"rcu"}
