"""What the paths of a function do to one lock: kept at a return, given back twice, past a conditional release."""

from __future__ import annotations

import pytest
from searches import sure
from small import HEAD, program

from reviewbot.detect.balance import Balance, balance
from reviewbot.detect.unbalanced import unbalanced

FILE = "drivers/md/small.c"


def of(body: str, lock: str = "dev.lock", parameters: str = "struct dev *d, int n") -> Balance:
    """The balance of a function with this body."""
    return balance(program(f"int f({parameters})\n{{\n{body}\n}}\n"), f"{FILE}:f", lock)


@pytest.mark.parametrize(
    ("body", "kept", "maybe"),
    [
        ("mutex_lock(&d->lock); if (n) return -EIO; mutex_unlock(&d->lock); return 0;", {"negative"}, {"negative"}),
        ("mutex_lock(&d->lock); if (n) { mutex_unlock(&d->lock); return -EIO; } return 0;", {"zero"}, {"zero"}),
        ("mutex_lock(&d->lock); if (n) goto out; mutex_unlock(&d->lock); out: return 0;", set(), {"zero"}),
        ("if (n) mutex_lock(&d->lock); d->flag = 1; if (n) mutex_unlock(&d->lock); return 0;", set(), set()),
        ("if (d->flag) mutex_lock(&d->lock); n = 1; if (d->flag) mutex_unlock(&d->lock); return 0;", set(), set()),
        (
            "if (d->flag) return 1; mutex_lock(&d->lock); if (d->flag) return 1; mutex_unlock(&d->lock); return 0;",
            {"positive"},
            {"positive"},
        ),
        ("mutex_lock(&d->lock); if (!d->flag) mutex_unlock(&d->lock); return 0;", set(), {"zero"}),
        ("if (!mutex_trylock(&d->lock)) return -EBUSY; mutex_unlock(&d->lock); return 0;", set(), set()),
    ],
)
def test_kept(body: str, kept: set[str], maybe: set[str]) -> None:
    found = of(body)
    assert (set(found.kept), set(found.maybe)) == (kept, maybe)


def test_the_rest_of_the_function_is_no_conditional_release() -> None:
    rest = "one(d); two(d); three(d); mutex_unlock(&d->lock);"
    assert set(of(f"mutex_lock(&d->lock); if (n) goto out; {rest} out: return 0;").kept) == {"zero"}


@pytest.mark.parametrize(
    ("body", "twice"),
    [
        ("mutex_lock(&d->lock);\nmutex_unlock(&d->lock);\nmutex_unlock(&d->lock);\nreturn 0;", 3),
        (
            "mutex_lock(&d->lock);\nmutex_unlock(&d->lock);\nif (n)\ngoto out;\nreturn 0;\n"
            "out: mutex_unlock(&d->lock);\nreturn 1;",
            6,
        ),
        ("guard(mutex)(&d->lock);\nif (n) {\nmutex_unlock(&d->lock);\nreturn 1;\n}\nreturn 0;", 1),
        ("mutex_unlock(&d->lock);\nmutex_lock(&d->lock);\nreturn 0;", 0),
        (
            "mutex_lock(&d->lock);\nmutex_unlock(&d->lock);\nmutex_lock(&d->lock);\nmutex_unlock(&d->lock);\nreturn 0;",
            0,
        ),
        ("mutex_lock(&d->lock);\nmutex_unlock(&d->lock);\nd = other(d);\nmutex_unlock(&d->lock);\nreturn 0;", 0),
        ("mutex_lock(&d->lock);\nmutex_unlock(&d->lock);\nif (d->flag)\nmutex_unlock(&d->lock);\nreturn 0;", 0),
        ("mutex_lock(&d->lock);\nmutex_unlock(&d->lock);\nlock_dev(d);\nmutex_unlock(&d->lock);\nreturn 0;", 0),
    ],
)
def test_twice(body: str, twice: int) -> None:
    line = of(body).twice - (HEAD.count("\n") + 2)  # of the body, which begins in the third line behind the head
    assert max(line, 0) == twice


FILLS = """
static int fill(spinlock_t *lock, int n)
{{
	spin_lock(lock);
	if (n){exit}
	spin_unlock(lock);
	return 0;
}}
int f(struct dev *d, int n) {{ return fill(&d->fast, n); }}
"""


def test_a_lock_that_is_handed_in() -> None:
    before = program(FILLS.format(exit=" {\n\t\tspin_unlock(lock);\n\t\treturn -EIO;\n\t}"))
    after = program(FILLS.format(exit="\n\t\treturn -EIO;"))
    (circle,) = sure(unbalanced(before, after, [(FILE, "fill")]))
    assert (circle.kind, circle.lock, circle.holder.chain) == ("kept", "dev.fast", (f"{FILE}:f", f"{FILE}:fill"))
    assert sure(unbalanced(after, before, [(FILE, "fill")])) == []


STARTS = """
void *start(struct dev *d) {{ {start} return d; }}
void stop(struct dev *d) {{ {stop} }}
"""


def test_what_another_function_gives_back_now_is_handed_over() -> None:
    before = program(STARTS.format(start="mutex_lock(&d->lock); mutex_unlock(&d->lock);", stop=""))
    after = program(STARTS.format(start="mutex_lock(&d->lock);", stop="mutex_unlock(&d->lock);"))
    names = [(FILE, "start"), (FILE, "stop")]
    assert sure(unbalanced(before, after, names)) == []
    assert [c.lock for c in sure(unbalanced(before, after, names[:1]))] == ["dev.lock"] * 2
