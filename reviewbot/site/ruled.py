"""What the site says of rules. To load them takes longer than all else of an update, so what they guarantee is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from reviewbot import precision
from reviewbot.types import Outcome, Value
from reviewbot.watch.ledger import Tally


class KnownRules(Value, frozen=True):
    """Rule -> its guarantee, and what stands for the files that they come from."""

    of: str = ""
    guarantees: dict[str, str] = msgspec.field(default_factory=dict)


def known(before: KnownRules) -> KnownRules:
    """The rules there are: as before, or loaded anew where their files or packages are others."""
    of = sources()
    if of == before.of:
        return before
    from reviewbot import rules

    return KnownRules(of, {rule.id: rule.guarantee for rule in rules.find().rules})


def sources() -> str:
    """What stands for the modules of `heuristics`, and for the versions of packages that offer others."""
    digest = hashlib.blake2b(digest_size=12)
    spec = find_spec("heuristics")
    for folder in spec.submodule_search_locations or () if spec else ():
        for file in sorted(Path(folder).glob("*.py")):
            digest.update(file.read_bytes())
    for point in entry_points(group="reviewbot.heuristics"):
        digest.update(repr((point.name, point.value, point.dist and point.dist.version)).encode())
    return digest.hexdigest()


def row(
    name: str,
    guarantee: str,
    fired: Mapping[tuple[str, Outcome], int],
    tally: Tally | None,
    recorded: precision.Recorded,
) -> dict[str, Any]:
    """What the page of all rules says of one: how often it fired, and how often it was right.

    fired: (rule, outcome) -> findings; tally: what people said of them; recorded: what backtests measured.
    """
    return {
        "id": name,
        "guarantee": guarantee,
        "fired": fired.get((name, Outcome.CONFIRMED), 0),
        "ended": fired.get((name, Outcome.FIXED), 0),
        "people": _share(tally.right, tally.wrong) if tally else "none",
        "unseen": _measured(name, recorded, precision.COUNT),
        "seen": _measured(name, recorded, ("seen",)),
        "nacks": precision.may_nack(name),
    }


def _measured(rule: str, recorded: precision.Recorded, on: Sequence[precision.On]) -> str:
    """The right NACKs of a rule on some kinds of cases together."""
    found = [recorded[kind][rule] for kind in on if rule in recorded.get(kind, {})]
    right, wrong = sum(m.right for m in found), sum(m.wrong for m in found)
    return _share(right, wrong) if right + wrong >= precision.ENOUGH else "not measured"


def _share(right: int, wrong: int) -> str:
    """`right 8 of 10 (49 - 94 %)`, with the confidence interval."""
    span = precision.interval(right, right + wrong)
    return f"right {right} of {right + wrong} ({span[0]:.0%} to {span[1]:.0%})" if span else "none"
