"""The cost of all of lore is what was measured, times how much more there is."""

from __future__ import annotations

import msgspec
from lore_cost import lines, measured

from reviewbot.archive.posting import ArchiveRow

ONE = ArchiveRow(
    "a", "a@x", "[PATCH] a", "ann@x", 1.7e9, patches=2, tree="6.1", fit="applies", verdict="ack", seconds=3.0
)
ELSEWHERE = msgspec.structs.replace(ONE, tree="", fit="", verdict="", seconds=0.5, patches=9)


def test_hours_go_by_what_was_reviewed_and_disk_by_mails() -> None:
    found = measured([ONE, ONE, ELSEWHERE, ELSEWHERE], mails=16, archive=64_000.0, kept=400.0, state=2_000.0)
    assert (found.posted, found.posting, found.patch) == (0.25, 3.0, 1.5)
    said = [*lines(found, mails=4_800_000, patches=2400)]
    assert "| postings | 1,200,000 | 1,200 |" in said
    assert "| core hours | 1,000 | 1.0 |" in said
    assert "| archive | 19.2 GB | |" in said
    assert "| rows | 0.1 GB | |" in said
    assert "| database of a watcher | 9.6 GB | |" in said


def test_what_the_whole_run_took_beside_its_reviews_is_part_of_a_posting() -> None:
    found = measured([ONE, ELSEWHERE], mails=2, archive=1.0, kept=1.0, state=0.0, cpu=5.5)
    assert (found.beside, found.posting, found.patch) == (1.0, 4.0, 2.0)


def test_what_was_not_measured_is_not_said() -> None:
    found = measured([ONE], mails=1, archive=1.0, kept=1.0, state=0.0)
    assert not any("database" in line for line in lines(found, 10, 10))
