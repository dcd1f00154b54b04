"""Signs of what functions return, and the paths of their callers that are left out for it."""

from __future__ import annotations

import pytest
from small import program

from reviewbot.analysis.code.expr import ANY, MINUS, PLUS, ZERO
from reviewbot.function_key import key_of

FILE = "drivers/md/small.c"
TAIL = "struct dev *get(struct dev *d, int x);\n"
RETURNS = {
    "a constant": ("static int run(struct dev *d) { d->count++; return 0; }", ZERO),
    "nothing": ("static void run(struct dev *d) { d->count++; }", ANY),
    "a field": ("static int run(struct dev *d) { return d->flag; }", ANY),
    "an error or nothing": ("static int run(struct dev *d) { if (d->flag) return -EIO; return 0; }", MINUS | ZERO),
    "a local that is one of both": (
        "static int run(struct dev *d) { int r = 0; if (d->flag) r = -EIO; d->count++; return r; }",
        MINUS | ZERO,
    ),
    "a local that is asked": (
        "static int run(struct dev *d) { int r = get(d, 1); if (r < 0) return r; return 0; }",
        MINUS | ZERO,
    ),
    "what a call may change": ("static int run(struct dev *d) { int r = 0; get(&r); return r; }", ANY),
    "what a macro may set": ("static int run(struct dev *d) { int r = 0; get_user(r, &d->flag); return r; }", ANY),
    "what a macro of the file sets": (
        "#define READ(r, d) do { r = (d)->flag; } while (0)\nstatic int run(struct dev *d) { int r = 0; READ(r, d); return r; }",
        ANY,
    ),
    "what a function gets by value": (
        "static void low(int r) { }\nstatic int run(struct dev *d) { int r = 0; low(r); return r; }",
        ZERO,
    ),
    "the address of something": ("static void *run(struct dev *d) { return &d->lock; }", PLUS),
    "memory that may lack": ("static void *run(void) { void *p = kmalloc(8, GFP_NOIO); return p; }", ANY),
    "memory that is always had": (
        "static void *run(void) { void *p = kmalloc(8, GFP_NOIO | __GFP_NOFAIL); return p; }",
        PLUS,
    ),
    "a reserve that is waited for": ("static void *run(mempool_t *m) { return mempool_alloc(m, GFP_NOIO); }", PLUS),
    "a reserve that is not": ("static void *run(mempool_t *m) { return mempool_alloc(m, GFP_ATOMIC); }", ANY),
    "tried first, then waited for": (
        "static void *run(mempool_t *m) { void *p = mempool_alloc(m, GFP_ATOMIC); if (!p) p = mempool_alloc(m, GFP_NOIO);"
        " return p; }",
        PLUS | MINUS,
    ),
    "what a callee returns": ("static int low(void) { return 0; }\nstatic int run(void) { return low(); }", ZERO),
    "itself": ("static int run(int x) { if (x) return run(x - 1); return 0; }", ANY),
}


@pytest.mark.parametrize("what", RETURNS)
def test_the_signs_of_a_result(what: str) -> None:
    text, signs = RETURNS[what]
    assert program(TAIL + text).locksets.record(key_of(FILE, "run")).result == signs


def left(callee: str) -> bool:
    """Whether a caller, which returns with its lock where `made` returns NULL, may leave it."""
    caller = """
static int run(struct dev *d)
{
	void *p;

	mutex_lock(&d->lock);
	p = made(d);
	if (!p)
		return -ENOMEM;
	mutex_unlock(&d->lock);
	return 0;
}
"""
    return "dev.lock" in program(callee + caller).may_leave(key_of(FILE, "run"))


def test_a_path_for_a_failure_that_cannot_be_is_left_out() -> None:
    text = "static void *made(struct dev *d) {{ void *p = kmalloc(8, {0}); if (!p) return NULL; return p; }}\n"
    assert left(text.format("GFP_NOIO"))
    assert not left(text.format("GFP_NOIO | __GFP_NOFAIL"))


def test_what_a_header_returns_says_nothing_of_who_is_linked() -> None:
    """It has what there is with an option off."""
    made = program(
        '#include "made.h"\nstatic int run(struct dev *d) { return made(d); }',
        **{"drivers/md/made.h": "static inline int made(struct dev *d) { return 0; }"},
    )
    assert made.locksets.record(key_of(FILE, "run")).result == ANY
