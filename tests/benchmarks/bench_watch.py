"""The watcher on a real epoch behind a real public-inbox server, beside what git and b4's library take for the same.

    python tests/benchmarks/bench_watch.py EPOCH.bundle [MUTATIONS [SEED]]

Printed are: a first poll of the last 30 days, a full walk without reviews (beside `git clone --mirror` and reading each
mail with liblore in one unprotected process), an idle poll as a whole process (beside `git ls-remote` and an empty
Python), and MUTATIONS mutated mails through the reader (how many were refused, and the slowest).
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, time

sys.path.insert(0, str(Path(__file__).parents[1]))

from servers import public_inbox
from test_watch_child import mutated

from reviewbot.mail.epochs import Mirror
from reviewbot.mail.protocol import MailLimits
from reviewbot.watch.child import HeadReader, UnreadableMail

MAIN = "import sys; from reviewbot.cli import main; main()"
DAY = 86400.0


def watch(folder: Path, name: str, url: str, days: float) -> list[str]:
    """The command of a poll with a state folder of its own."""
    config = folder / f"{name}.toml"
    config.write_text(
        f'state = "{folder / name}"\n[[list]]\nname = "dm"\nurl = "{url}"\nreview = true\nlook_back_days = {days}\n'
    )
    return [sys.executable, "-c", MAIN, "watch", "--no-review", "--config", str(config)]


def timed(command: list[str]) -> float:
    started = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - started


def unprotected(mirror: Mirror) -> float:
    """Each mail of the epoch read by liblore, here, without any limit."""
    from liblore.series import parse_patch_subject
    from liblore.utils import msg_get_subject, parse_message

    started = perf_counter()
    for commit in mirror.commits():
        found = mirror.mail_in(commit.id, 2 << 20)
        if found:
            try:
                parse_patch_subject(msg_get_subject(parse_message(found[1])))
            except Exception:  # it may raise anything
                continue
    return perf_counter() - started


def mutations(mirror: Mirror, count: int, seed: int) -> None:
    chance = random.Random(seed)
    commits = [c.id for c in mirror.commits()]
    refused, slowest, kinds = 0, 0.0, {"patch": 0, "cover": 0, "reply": 0, "other": 0}
    started = perf_counter()
    with HeadReader(MailLimits(seconds=10, memory=512 << 20)) as heads:
        for _ in range(count):
            found = mirror.mail_in(chance.choice(commits), 2 << 20)
            assert found
            raw = mutated(found[1], chance)
            before = perf_counter()
            try:
                kinds[heads.read(raw).kind] += 1
            except UnreadableMail as error:
                refused += 1
                print(f"    refused: {error}")
            slowest = max(slowest, perf_counter() - before)
    took = perf_counter() - started
    print(f"{count} mutated mails, seed {seed}: {took:.0f} s, {refused} refused, slowest {slowest:.2f} s, {kinds}")


def main() -> None:
    bundle = Path(sys.argv[1]).resolve()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 6
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as name:
        folder = Path(name)
        clone = timed(["git", "clone", "-q", "--mirror", str(bundle), str(folder / "0.git")])
        mirror = Mirror(folder / "0.git")
        newest = mirror.commits()[-1].arrived
        with public_inbox(folder, folder / "0.git") as url:
            near = timed(watch(folder, "near", url, (time() - newest) / DAY + 30))
            whole = timed(watch(folder, "whole", url, 100_000))
            mirrored = timed(["git", "clone", "-q", "--mirror", f"{url}/git/0.git", str(folder / "again.git")])
            idle = [timed(watch(folder, "whole", url, 100_000)) for _ in range(9)]
            asked = [timed(["git", "ls-remote", "-q", f"{url}/git/0.git"]) for _ in range(9)]
            empty = [timed([sys.executable, "-c", "pass"]) for _ in range(9)]
        bare = unprotected(mirror)
        mails = len(mirror.commits())
        print(f"first poll, last 30 days: {near:.2f} s")
        print(f"full walk of {mails} mails: {whole:.1f} s = {whole / mails * 1000:.2f} ms a mail")
        print(f"    git clone --mirror of the same: {mirrored:.1f} s ({whole / mirrored:.1f} times as long)")
        print(f"    liblore, unprotected, nothing kept: {bare:.1f} s ({whole / bare:.1f} times as long)")
        print(f"idle poll, whole process: median {median(idle):.3f} s, best {min(idle):.3f} s")
        print(f"    git ls-remote: {median(asked):.3f} s; python -c pass: {median(empty):.3f} s")
        print(f"    (clone of the bundle: {clone:.1f} s)")
        mutations(mirror, count, seed)
        mirror.close()


if __name__ == "__main__":
    main()
