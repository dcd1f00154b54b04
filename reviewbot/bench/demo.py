"""Reviews cases of the corpus as if they had come by mail: no network, no kernel tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from reviewbot import review
from reviewbot.bench.case import Case
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.report.reply import draft
from reviewbot.types import Address, Change, Decision, Review, Series, Source

MAINTAINER = Address(name="A Maintainer", email="maintainer@example.org")


@contextmanager
def applied(case: Case) -> Iterator[tuple[Series, Change, Source, Source]]:
    """The series of a case and its change, with both sides of the tree, in a repository made of the files of the case."""
    series = fetch.parse(case.patch.encode(), case.name)
    with Tree.from_files({path: text.encode() for path, text in case.files}) as tree:
        first = (case.base_patch.encode(),) if case.base_patch else ()
        change = tree.apply(series, None, first=first)
        yield series, change, *tree.sources(change)


def examine_case(case: Case) -> Review:
    """Review one case: its files become a repository, its patch goes the way of every mail."""
    with applied(case) as (series, change, before, after):
        examined = review.examine(change, before, after)
    result = Review(
        series=series,
        decision=examined.decision,
        change=change,
        verdicts=examined.verdicts,
        hidden=examined.hidden,
        checked=examined.checked,
        notes=examined.notes,
        events=examined.events,
        code=examined.code,
    )
    if result.decision is Decision.COMMENT:
        return result
    return msgspec.structs.replace(result, replies=draft(result, MAINTAINER))
