"""A wait with a lock held that nobody at hand ends: what is in doubt about it."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.edges import Circle
from reviewbot.detect.waitfor import UNENDED, circles
from reviewbot.score import COMMENT_ABOVE, Doubt, Score

HEAD = b"struct mutex { int x; };\n"
SHARED = b"struct table { struct mutex lock; };\n"
OWN = b"struct pool { struct mutex lock; struct table *table; };\n"
RUN = b"void run(struct pool *p)\n{\n\tmutex_lock(&p->lock);\n%s\tmutex_unlock(&p->lock);\n}\n"
TAKES = b"\tmutex_lock(&p->table->lock);\n\tmutex_unlock(&p->table->lock);\n"
FILE = "drivers/md/small.c"


def unended(declared: str) -> list[Circle]:
    """What is found of a patch that takes the lock of a table, which a file declares, with the lock of a pool held."""

    def program(does: bytes) -> Program:
        texts = {FILE: HEAD + OWN + RUN % does}
        texts[declared] = texts.get(declared, HEAD) + SHARED
        return Program.of_units({path: lower(text) for path, text in texts.items()})

    found = circles(program(b""), program(TAKES), [(FILE, "run")])
    return [one for one in found if isinstance(one, Circle) and one.kind == UNENDED]


@pytest.mark.parametrize(
    ("declared", "doubts", "shown"),
    [
        (FILE, (Doubt.UNSEEN, Doubt.TAKERS), False),
        ("include/linux/table.h", (Doubt.UNSEEN,), True),  # who else takes it may be anywhere
    ],
)
def test_of_a_lock_of_this_code_those_who_take_it_are_seen(
    declared: str, doubts: tuple[Doubt, ...], shown: bool
) -> None:
    (one,) = unended(declared)
    assert one.doubts == doubts
    assert (Score(one.doubts).value > COMMENT_ABOVE) == shown
