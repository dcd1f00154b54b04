"""Each search says of what it gives up why."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from searches import reasons
from small import program

from reviewbot.analysis.program.program import Program
from reviewbot.detect.anchors import Difference
from reviewbot.detect.announced import missed
from reviewbot.detect.completions import unwoken
from reviewbot.detect.counted import leaks
from reviewbot.detect.interrupts import interrupted
from reviewbot.detect.inversion import inverted
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.obligations import undone
from reviewbot.detect.sleeps import interrupting, sleeping
from reviewbot.detect.unbalanced import unbalanced
from reviewbot.detect.unmasked import unmasked
from reviewbot.function_key import key_of
from reviewbot.types import Place

FILE = "drivers/md/small.c"
Search = Callable[[Program, Program, list[tuple[str, str]]], Iterator[object]]
NOTE = "static void note(struct dev *d)\n{\n%s\n}\n"
WAITER = "void dev_wait(struct dev *d) { wait_for_completion(&d->done); }\n"


def of_changes(search: Callable[..., Iterator[object]]) -> Search:
    """A search of the ordered difference, called like the others."""

    def found(before: Program, after: Program, names: list[tuple[str, str]]) -> Iterator[object]:
        keys = [key_of(file, name) for file, name in names]
        return search(before, after, Difference(before, after, keys, keys).changes)

    return found


@pytest.mark.parametrize(
    ("search", "before", "after", "reason"),
    [
        pytest.param(
            sleeping,
            "\tspin_lock(&d->fast);\n\tspin_unlock(&d->fast);",
            "\tspin_lock(&d->fast);\n\tif (gfpflags_allow_blocking(d->flags))\n\t\tmsleep(1);\n\tspin_unlock(&d->fast);",
            "it stands under a condition on who may sleep",
            id="sleeping",
        ),
        pytest.param(
            interrupted,
            "\tspin_lock_irq(&d->fast);\n\tspin_unlock_irq(&d->fast);",
            "\tspin_lock(&d->fast);\n\tspin_unlock(&d->fast);",
            "no interrupt is seen to take it",
            id="interrupted",
        ),
        pytest.param(
            unmasked,
            "\tunsigned long f;\n\tspin_lock_irqsave(&d->fast, f);\n\tspin_unlock_irqrestore(&d->fast, f);",
            "\tspin_lock_irq(&d->fast);\n\tspin_unlock_irq(&d->fast);",
            "no lock is held around it for which interrupts were turned off",
            id="unmasked",
        ),
        pytest.param(
            unwoken,
            "\tcomplete(&d->done);",
            "\tif (d->flag)\n\t\tcomplete(&d->done);",
            "nobody is seen to wait for it without a time limit",
            id="completions",
        ),
        pytest.param(
            of_changes(undone),
            "\twake_up(&d->wait);",
            "\td->flag = 1;\n\twake_up_all(&d->wait);",
            "something else does it now, or what it told of is gone",
            id="obligations",
        ),
        pytest.param(
            unbalanced,
            "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);",
            "\tmutex_lock(&d->lock);\n\tdev_unlock_all(d);",
            "it calls dev_unlock_all(), which cannot be read",
            id="balance",
        ),
    ],
)
def test_a_search_says_why_a_lead_ends(search: Search, before: str, after: str, reason: str) -> None:
    old, new = (program(NOTE % body) for body in (before, after))
    found = [*search(old, new, [(FILE, "note")])]
    assert reason in reasons(found)
    lead = next(one for one in found if isinstance(one, Dropped) and one.reason == reason)
    assert lead.functions == ("note",)
    assert lead.says().startswith(f"{FILE}:")


@pytest.mark.parametrize("search", [missed, leaks, inverted, interrupting])
def test_a_search_without_a_lead_says_nothing(search: Search) -> None:
    text = program(NOTE % "\td->flag = 1;")
    assert reasons(search(text, text, [(FILE, "note")])) == set()


def test_a_lead_in_one_function() -> None:
    lead = Dropped(LeadPlace(Place("a.c", 3, "f"), "takes x"), "why")
    assert (lead.functions, lead.says(), lead.reason) == (("f",), "a.c:3: f() takes x", "why")
