"""Conditions by which code asks what it runs in."""

from __future__ import annotations

import pytest
from small import program

from reviewbot.analysis.code.self_tests import compared
from reviewbot.kernel import KERNEL

KEY = "drivers/md/small.c:f"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("current_work() == &d->work", "dev.work"),
        ("&d->work != current_work()", "dev.work"),
        ("current == d->task", "dev.task"),
        ("d->last == &d->work", ""),
        ("current_work()", ""),
        ("current_work() == &d->work || d->closing", "dev.work"),  # the first of two tests, one after the other
    ],
)
def test_what_code_compares_its_own_run_with(condition: str, expected: str) -> None:
    made = program(f"static void f(struct dev *d)\n{{\n\tif ({condition})\n\t\treturn;\n\tgo(d);\n}}\n")
    body = made.body(KEY)
    when = next(edge.when for edge in body.function.blocks[0].edges if edge.when is not None)
    assert compared(body, when, KERNEL.aware) == expected
