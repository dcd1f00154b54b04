"""Completions that a change leaves out: on some way, or altogether, and who waits for them."""

from __future__ import annotations

import pytest
from searches import sure
from small import program

from reviewbot.detect.completions import gives, unwoken

FILE = "drivers/md/small.c"
NAMES = ((FILE, "crate_end"),)
HEAD = """
struct crate { struct completion done; struct completion *emptied; int mode; };
struct slip { struct completion signed_; };
"""
OWN = "void crate_wait(struct crate *c) { wait_for_completion(&c->done); }\n"


def end(text: str, parameter: str = "struct crate *c") -> str:
    """A function crate_end() of these lines."""
    return f"void crate_end({parameter})\n{{\n{text}\n}}\n"


@pytest.mark.parametrize(
    ("waits", "parameter", "completes"),
    [
        (OWN, "struct crate *c", "complete(&c->done);"),
        (
            "void f(void) { struct slip s; init_completion(&s.signed_); wait_for_completion(&s.signed_); }\n",
            "struct slip *s",
            "complete(&s->signed_);",
        ),
        (
            "void f(struct crate *c) { DECLARE_COMPLETION_ONSTACK(e); c->emptied = &e; wait_for_completion(&e); }\n",
            "struct crate *c",
            "complete(c->emptied);",
        ),
    ],
)
def test_who_waits_is_found_also_where_the_completion_is_on_his_stack(
    waits: str, parameter: str, completes: str
) -> None:
    before, after = (program(HEAD + end(text, parameter) + waits) for text in (completes, ""))
    (found,) = sure(unwoken(before, after, NAMES))
    assert found.always(before)
    assert not found.always(after)


def test_an_address_that_could_go_anywhere_is_followed_where_the_waiter_names_who_completes() -> None:
    struct = "struct slot { void *private; void (*end)(struct slot *); };\n"
    completes = "void crate_end(struct slot *s) { complete(s->private); }\n"
    for names, found in (("s->end = crate_end;", 1), ("", 0)):
        waits = (
            "void f(struct slot *s) { DECLARE_COMPLETION_ONSTACK(e); s->private = &e; "
            f"{names} wait_for_completion(&e); }}\n"
        )
        silent = "void crate_end(struct slot *s) { }\n"
        programs = [program(HEAD + struct + text + waits) for text in (completes, silent)]
        assert len(sure(unwoken(*programs, NAMES))) == found


def test_a_completion_under_a_condition_counts_where_nobody_else_gives_it() -> None:
    before, after = (program(HEAD + end(t) + OWN) for t in ("if (c->mode) complete(&c->done);", "c->mode = 0;"))
    (found,) = sure(unwoken(before, after, NAMES))
    assert found.only
    other = "void crate_drop(struct crate *c) { complete(&c->done); }\n"
    before, after = (program(HEAD + end(t) + OWN + other) for t in ("if (c->mode) complete(&c->done);", "c->mode = 0;"))
    assert not sure(unwoken(before, after, NAMES))


def test_nobody_waits_where_the_completion_is_made_ready_under_the_same_condition() -> None:
    early = "if (c->mode) return; complete(&c->done);"
    for start, found in (("if (c->mode) return;", 0), ("", 1)):
        arms = f"void crate_start(struct crate *c) {{ {start} reinit_completion(&c->done); }}\n"
        before, after = (program(HEAD + end(t) + OWN + arms) for t in ("complete(&c->done);", early))
        assert gives(after, f"{FILE}:crate_end", "crate.done") is False
        assert len(sure(unwoken(before, after, NAMES))) == found
