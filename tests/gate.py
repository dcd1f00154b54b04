"""The labelled patches that every run of the checks scores, and what of their results is a regression.

    python tests/gate.py RESULTS.json > tests/gate.toml

RESULTS.json is what `reviewbot backtest --json` wrote of the whole corpus beside the checkout. Deadlocks are chosen that are
NACKed in it, and clean patches and fixes that are not, by the hash of their ids: neither is any easier than the others.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from conftest import shared_folder

from reviewbot.bench import backtest
from reviewbot.bench.backtest import Labelled, Scored
from reviewbot.bench.tables import INNOCENT

FILE = Path(__file__).parent / "gate.toml"
SIZE = 60
"""Deadlocks, and as many others: with two processes three minutes."""
OF_A_FOLDER = 6
"""Patches of one folder and tree: what its files say is read once, and that takes longer than to review a patch."""
MAY_BE_LOST = 4
"""Hits that a change may lose without a word: one more fails."""


class Gate(NamedTuple):
    """Ids: deadlocks that were NACKed when they were chosen, and patches that were not."""

    deadlocks: tuple[str, ...]
    innocent: tuple[str, ...]


def read(file: Path = FILE) -> Gate:
    found = tomllib.loads(file.read_text())
    return Gate(tuple(found["deadlocks"]), tuple(found["innocent"]))


def choose(cases: Iterable[Labelled], nacked: set[str]) -> Gate:
    """The cases of the gate: whole folders in the order of their hashes, a few cases of each in the order of theirs."""
    hits, others = [], []
    for case in cases:
        if backtest.apart(case):
            continue
        if case.label == "deadlock" and case.id in nacked:
            hits.append(case)
        elif case.label in INNOCENT and case.id not in nacked:
            others.append(case)
    return Gate(_some(hits), _some(others))


def _some(cases: Iterable[Labelled]) -> tuple[str, ...]:
    folders: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        folders[f"{case.tree} {next(iter(case.files), '').rpartition('/')[0]}"].append(case.id)
    chosen = (id_ for folder in sorted(folders, key=_hash) for id_ in sorted(folders[folder], key=_hash)[:OF_A_FOLDER])
    return tuple(sorted(islice(chosen, SIZE)))


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()


def faults(gate: Gate, results: Iterable[Scored], known: Mapping[str, str]) -> Iterator[str]:
    """What fails the gate. known: ids of cases that are NACKed and should not be, each with what is wrong in the claim."""
    by_id = {r.id: r for r in results}
    lost = [id_ for id_ in gate.deadlocks if id_ in by_id and by_id[id_].verdict != "nack"]
    if len(lost) > MAY_BE_LOST:
        yield f"{len(lost)} deadlocks that were NACKed are not any more: {', '.join(lost)}"
    for r in sorted(by_id.values(), key=lambda r: r.id):
        wrong = r.label in INNOCENT and r.verdict == "nack"
        if wrong and r.id not in known:
            said = "; ".join(f"{s.at} {s.message} [{s.rule}]" for s in r.spoken if s.proven)
            yield f"{r.id} ({r.label}) is NACKed: {said}"
        elif r.id in known and not wrong:
            yield f"{r.id} is no longer NACKed: take it out of the list of known ones"
        if r.verdict == "fault" or any(" failed: " in note for note in r.notes):
            yield f"{r.id} crashed: {r.reason} {' '.join(r.notes)}"


def main() -> None:
    shared = shared_folder()
    if shared is None:
        sys.exit("no folder `shared` beside the checkout (REVIEWBOT_SHARED names one)")
    results = json.loads(Path(sys.argv[1]).read_bytes())["cases"]
    nacked = {case["id"] for case in results if case["verdict"] == "nack"}
    gate = choose(backtest.read_index(shared / "corpus/index.jsonl"), nacked)
    print("# Labelled patches that every run of the checks scores; `gate.py` chose them and says how.")
    for name, ids in gate._asdict().items():
        print(f"\n{name} = [", *(f"    {json.dumps(id_)}," for id_ in ids), "]", sep="\n")


if __name__ == "__main__":
    main()
