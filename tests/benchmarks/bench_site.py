"""The dashboard over many series: made for the first time, with nothing new, and with one new series.

    python tests/benchmarks/bench_site.py [SERIES]

A tenth of the series are NACKs with the schedules of the founding cases, a tenth comments, a tenth unreviewed, the others
acks; each has three mails, every fifth is a second version. Times are of the whole update in one process, and of the
command as a process of its own: by the clock, and what a processor had to do, which counts on a machine that is busy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

import checking
import msgspec

from reviewbot.bench.demo import examine_case
from reviewbot.commands.demo import TITLES
from reviewbot.key import key_of
from reviewbot.site.build import build
from reviewbot.types import Decision, Finding, Outcome, Place, Verdict
from reviewbot.watch.result import WorkResult
from reviewbot.watch.store import Kind, MailRow, SeriesRow, SeriesState, Store
from reviewbot.watch.work import shown_change

LISTS = ("dm-devel", "linux-block", "linux-fsdevel")


def results() -> dict[str, list[WorkResult]]:
    """What reviews say, by verdict."""
    nacks = []
    for name in TITLES:
        review = examine_case(checking.case(name))
        nacks.append(
            WorkResult(
                Decision.NACK,
                verdicts=review.verdicts,
                checked=review.checked,
                change=shown_change(review),
                events=review.events,
                code=review.code,
            )
        )
    doubt = Verdict(
        Finding("lock-order", Place("a.c", 3, "f"), "takes x under y"), Outcome.INCONCLUSIVE, reason="a limit"
    )
    return {
        "nack": nacks,
        "comment": [WorkResult(Decision.COMMENT, verdicts=(doubt,), reason="f() could not be read")],
        "unreviewed": [WorkResult(Decision.UNREVIEWED, reason="does not apply: a.c has changed")],
        "ack": [WorkResult(Decision.ACK, checked=("locks held over flushes", "the order of locks"))],
    }


def add(store: Store, numbers: range, of: dict[str, list[WorkResult]]) -> None:
    """Put series into the database."""
    mails: list[MailRow] = []
    with store.transaction():
        for number in numbers:
            verdict = {0: "nack", 1: "comment", 2: "unreviewed"}.get(number % 10, "ack")
            result = of[verdict][number % len(of[verdict])]
            lead, author = f"{number}-0@x.example", f"dev{number % 90}@x.example"
            before = (
                key_of(f"dev{(number - 1) % 90}@x.example", f"{number - 1}-0@x.example", 1) if number % 5 == 4 else ""
            )
            version = 2 if before else 1
            key = key_of(author, lead, version)
            row = SeriesRow(
                key=key, list=LISTS[number % 3], lead=lead, author=author, subject=f"[PATCH 0/2] dm x: change {number}",
                title=f"change {number}", version=version, expected=2, present=2, root=lead, change_id="",
                lineage=before or key, previous=before, arrived=1.7e9 + number * 600, first_seen=1.7e9, tries=1,
                state=SeriesState.DONE, reason=result.reason, decision=result.decision,
                result=msgspec.json.encode(result).decode(),
            )  # fmt: skip
            store.add_series(row)
            for n in range(3):
                kind = Kind.COVER if n == 0 else Kind.PATCH
                mails.append(
                    MailRow(
                        f"{number}-{n}@x.example",
                        row.list,
                        "0",
                        "b",
                        row.arrived,
                        kind,
                        number=n,
                        expected=2,
                        series=key,
                    )
                )
        store.add_mails(mails)


def timed(what: str, work: object) -> None:
    started, used = perf_counter(), sum(os.times()[:4])
    said = work()  # type: ignore[operator]
    print(
        f"{what:30} {perf_counter() - started:7.2f} s, {sum(os.times()[:4]) - used:6.2f} s of a processor  {said}",
        flush=True,
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    of = results()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = folder / "config.toml"
        config.write_text(f'state = "{folder / "state"}"\n')
        command = [
            sys.executable,
            "-c",
            "from reviewbot.cli import main; main()",
            "site",
            "--no-docs",
            str(folder / "site"),
        ]
        with Store.open(f"sqlite:///{folder / 'state' / 'state.sqlite'}") as store:
            add(store, range(count), of)
            timed(f"{count} series", lambda: build(store, folder / "site"))
            timed("nothing new", lambda: build(store, folder / "site"))
            for number in range(3):
                add(store, range(count + number * 10, count + number * 10 + 1), of)
                timed("one new series, a NACK", lambda: build(store, folder / "site"))
            add(store, range(count + 100, count + 101), of)
        run = subprocess.run
        timed(
            "the command, one new",
            lambda: run([*command, "--config", str(config)], check=True, capture_output=True).stdout.decode().strip(),
        )
        size = sum(f.stat().st_size for f in (folder / "site").rglob("*") if f.is_file())
        print(f"{size / 1e6:.0f} MB in {sum(1 for _ in (folder / 'site').rglob('*'))} files")


if __name__ == "__main__":
    main()
