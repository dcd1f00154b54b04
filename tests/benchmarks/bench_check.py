"""What a review costs beside other checkers of patches: whole processes, the same patches, in turns in one run.

    python tests/benchmarks/bench_check.py REPOSITORY MAIL... [--patches N] [--rounds N] [--cold N] [--plot FILE.svg] [--spin]

MAIL is a patch mail that applies to HEAD of REPOSITORY, or a folder with such (`*.patch`, `*.eml`, at any depth; of them N,
evenly chosen, default 50). Each way is one process or more a patch: `reviewbot check` of the file (warm; the first N also
with nothing cached), and by its id from an archive on loopback; `b4 am` of that id; `git am` in a sparse clone; checkpatch.pl;
the Coccinelle scripts on locks, sparse and smatch, each on the changed files before and after (as `checkers.py` calls them,
with the headers of a build that has everything configured; to make these is not counted). Printed are a table (seconds by the
clock and of processor time, the largest process, the ratio to `reviewbot check` patch by patch), what could not be run and
why, and what importing costs. `--plot` draws the processor time, `--spin` adds the simulator beside SPIN (bench_sim.py).
"""

from __future__ import annotations

import argparse
import gzip
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from email import message_from_bytes
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import checkers

ROOT = Path(__file__).parents[2]
MAIN = "from reviewbot.cli import main; main()"
CHECK = "reviewbot check, warm"
COLD = "reviewbot check, cold"
GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
VERDICTS = {0, 1, 3}


class Cost(NamedTuple):
    """What some processes took: seconds by the clock and of processor time, megabytes of the largest."""

    wall: float
    cpu: float
    megabytes: float


class Unusable(Exception):
    """A way that cannot be gone with a patch, and why."""


@contextmanager
def served(mail: bytes) -> Iterator[str]:
    """An archive on loopback that answers every thread with this mail; its URL."""
    body = gzip.compress(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n" + mail.rstrip() + b"\n\n")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/all"
        server.shutdown()


def cost(*commands: list[str], cwd: Path, expect: set[int] | None = None, **environment: str) -> Cost:
    """What these take, one after the other, each with the processes that it waits for. Raises Unusable for another exit
    code than expected (None: any)."""
    wall = cpu = megabytes = 0.0
    for argv in commands:
        with tempfile.TemporaryFile() as said:
            start = perf_counter()
            process = subprocess.Popen(argv, cwd=cwd, stdout=said, stderr=said, env=os.environ | environment)
            _, status, used = os.wait4(process.pid, 0)
            wall += perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if expect is not None and process.returncode not in expect:
                said.seek(0)
                last = said.read().decode(errors="replace").strip().splitlines()[-1:]
                raise Unusable(f"{argv[0]} ends with {process.returncode}: {' '.join(last)[:100]}")
        cpu += used.ru_utime + used.ru_stime
        megabytes = max(megabytes, used.ru_maxrss / 1024)
    return Cost(wall, cpu, megabytes)


def output(argv: list[str], cwd: Path) -> bytes:
    return subprocess.run(argv, cwd=cwd, capture_output=True, check=True).stdout


def program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise Unusable(checkers.missing(name))
    return found


class Bench:
    """One patch after the other, by each way, in a folder of its own."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        self.own = {
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(folder / "cache")),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self.clone = folder / "clone"
        output(["git", "clone", "-q", "--shared", "--no-checkout", str(repository), str(self.clone)], folder)
        output(["git", "tag", "start"], self.clone)
        build = not (checkers.missing("sparse") and checkers.missing("smatch"))
        self.kernel = checkers.Kernel.of(repository, folder / "kernel", build)
        self.ways: dict[str, Callable[[], Cost]] = {
            CHECK: self.check,
            "reviewbot check ID": self.check_id,
            "b4 am ID": self.b4_am,
            "git am": self.git_am,
            "checkpatch.pl": self.checkpatch,
            "coccinelle, locks": self.coccinelle,
            "sparse": lambda: self.on_files("sparse", checkers.sparse),
            "smatch": lambda: self.on_files("smatch", checkers.smatch),
        }

    def take(self, mail: Path) -> None:
        """The next patch: its files before and after in two folders, the clone at the start. Raises Unusable where it does
        not apply."""
        self.mail, raw = mail, mail.read_bytes()
        self.raw = (
            raw if re.match(rb"(From |[\w-]+:)", raw) else b"From: A <a@example.org>\nSubject: [PATCH] a\n\n---\n" + raw
        )
        self.id = str(message_from_bytes(self.raw)["Message-ID"] or "").strip("<> ")
        if not self.id:
            self.id = "bench@example.org"
            self.raw = b"Message-ID: <bench@example.org>\n" + re.sub(rb"\AFrom [^\n]*\n", b"", self.raw)
        if self.raw != raw:
            self.mail = self.folder / "mail.eml"
            self.mail.write_bytes(self.raw)
        self.files = [name.decode() for name in re.findall(rb"^diff --git a/(\S+\.[ch]) ", raw, re.MULTILINE)]
        folders = {name.rpartition("/")[0] for name in self.files}
        shown = [*(f"/{name}" for name in self.files), *(f"/{folder}/*.h" for folder in folders)]
        output(["git", "sparse-checkout", "set", "--no-cone", *shown], self.clone)
        output(["git", "checkout", "-q", "-f", "--detach", "start"], self.clone)
        output(["git", "clean", "-fdq"], self.clone)
        self.sides: list[Path] = []
        for side in ("before", "after"):
            if side == "after":
                cost([*GIT, "apply", str(self.mail)], cwd=self.clone, expect={0})
            at = self.folder / side
            shutil.rmtree(at, ignore_errors=True)
            shutil.copytree(self.clone, at, ignore=shutil.ignore_patterns(".git"))
            self.sides += [at / name for name in self.files if name.endswith(".c") and (at / name).exists()]

    def check(self, **environment: str) -> Cost:
        argv = [sys.executable, "-c", MAIN, "check", str(self.mail), "--tree", str(self.repository), "--json"]
        return cost(argv, cwd=self.folder, expect=VERDICTS, **{**self.own, **environment})

    def cold(self) -> Cost:
        """With nothing cached, as in a fresh clone."""
        cache = self.folder / "cold"
        shutil.rmtree(cache, ignore_errors=True)
        return self.check(XDG_CACHE_HOME=str(cache))

    def check_id(self) -> Cost:
        with served(self.raw) as inbox:
            argv = [
                sys.executable,
                "-c",
                MAIN,
                "check",
                self.id,
                "--inbox",
                inbox,
                "--tree",
                str(self.repository),
                "--json",
            ]
            return cost(argv, cwd=self.folder, expect=VERDICTS, **self.own)

    def b4_am(self) -> Cost:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        with served(self.raw) as inbox:
            mask = ["-c", f"b4.midmask={inbox}/%s", "-c", f"b4.linkmask={inbox}/%s"]
            argv = [program("b4"), *mask, "am", "-o", str(self.folder), "--no-cover", "--single-message", self.id]
            quiet = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_DATA_HOME": str(home)}
            return cost(argv, cwd=self.clone, expect={0}, **quiet)

    def git_am(self) -> Cost:
        subprocess.run([*GIT, "am", "--abort"], cwd=self.clone, capture_output=True)
        output([*GIT, "reset", "-q", "--hard", "start"], self.clone)
        output([*GIT, "clean", "-fdq"], self.clone)  # new files of a patch that was applied, and not committed
        return cost([*GIT, "am", "-q", str(self.mail)], cwd=self.clone, expect={0})

    def checkpatch(self) -> Cost:
        program("perl")
        return cost(checkers.checkpatch(self.kernel, self.mail), cwd=self.folder, expect={0, 1})

    def coccinelle(self) -> Cost:
        program("spatch")
        return cost(*checkers.coccinelle(self.kernel, self.sides), cwd=self.folder)

    def on_files(self, name: str, command: Callable[[checkers.Kernel, Path], list[str]]) -> Cost:
        program(name)
        if self.kernel.lacks:
            raise Unusable(self.kernel.lacks)
        return cost(*(command(self.kernel, file) for file in self.sides), cwd=self.folder)


def measured(bench: Bench, mails: list[Path], rounds: int, cold: int) -> tuple[dict[str, list[Cost]], dict[str, str]]:
    """Way -> a cost a patch (the median of the rounds), and why a way, or a patch, was left out."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    why: dict[str, str] = {}
    ratios: dict[str, list[float]] = defaultdict(list)
    with suppress(KeyboardInterrupt):  # a run that is stopped shows what it has
        for mail in mails:
            ways = [*bench.ways.items()] * rounds + [(COLD, bench.cold)] * (len(costs[COLD]) < cold)
            for way, taken in one(bench, mail, ways, why).items():
                costs[way].append(taken)
            if costs[CHECK]:
                for way in (way for way in costs if len(costs[way]) > len(ratios[way])):
                    ratios[way].append(costs[way][-1].cpu / costs[CHECK][-1].cpu)
            print(".", end="", file=sys.stderr, flush=True)
    table(costs, ratios)
    return costs, why


def one(
    bench: Bench, mail: Path, ways: Sequence[tuple[str, Callable[[], Cost]]], why: dict[str, str]
) -> dict[str, Cost]:
    """What each way takes with one patch, nothing where the patch cannot be reviewed; the reasons go into `why`."""
    found: dict[str, list[Cost]] = defaultdict(list)
    try:
        bench.take(mail)
        bench.check()  # warms what is kept of its folders
    except Unusable as error:
        why[mail.name] = str(error)
        return {}
    for way, run in ways:
        try:
            taken = run()
        except Unusable as error:
            why[way] = str(error)  # of the last patch, if of some
        else:
            found[way].append(taken)
    middle = {way: Cost(*(median(column) for column in zip(*each, strict=True))) for way, each in found.items()}
    return middle if CHECK in middle else {}


def table(costs: dict[str, list[Cost]], ratios: dict[str, list[float]]) -> None:
    head = ("patches", "wall", "cpu", "cpu 90%", "most", "MB", "cpu ratio")
    print(f"\n{'':24}" + "".join(f"{name:>10}" for name in head))
    for way, taken in costs.items():
        if not taken:
            continue
        cpu = sorted(c.cpu for c in taken)
        cells = (median(c.wall for c in taken), median(cpu), cpu[len(cpu) * 9 // 10], cpu[-1])
        print(
            f"{way:24}{len(taken):10}"
            + "".join(f"{seconds:10.3f}" for seconds in cells)
            + f"{max(c.megabytes for c in taken):10.0f}{median(ratios[way]):10.2f}"
        )


def chosen(given: list[Path], most: int) -> list[Path]:
    """The mails, those of folders included; evenly chosen where there are more."""
    found = [m for g in given for m in ([g] if g.is_file() else sorted([*g.rglob("*.patch"), *g.rglob("*.eml")]))]
    return found[:: max(1, -(-len(found) // most))] if found else []


def plot(costs: dict[str, list[Cost]], file: Path) -> None:
    from reviewbot.report.bars import bars, bars_svg

    piece = "median seconds of processor time a patch"
    rows = [(way, {piece: median(c.cpu for c in taken)}) for way, taken in costs.items() if taken]
    file.write_text(bars_svg(bars(rows, {piece: 0}, digits=2), "What a check of a patch costs"))


def imports() -> None:
    """What starting the command line costs, in a process of its own, and which modules take most of it."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    runs = []
    for code in ("pass", "import reviewbot.cli"):
        seconds = [cost([sys.executable, "-c", code], cwd=ROOT, PYTHONPATH=str(ROOT)).wall for _ in range(9)]
        runs.append(median(seconds))
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import reviewbot.cli"], capture_output=True, text=True, env=env
    )
    rows = [line.split("|") for line in done.stderr.splitlines() if "|" in line and "import time" in line]
    table = [(int(r[0].rpartition(":")[2]), int(r[1]), r[2].strip()) for r in rows if r[1].strip().isdigit()]
    whole = next(total for _, total, name in table if name == "reviewbot.cli")
    print(
        f"\nimport reviewbot.cli: {whole / 1e6:.3f} s in the process;"
        f" python alone {runs[0]:.3f} s, with it {runs[1]:.3f} s"
    )
    for own, _, name in sorted(table, reverse=True)[:5]:
        print(f"    {own / 1e6:7.4f} s  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("mails", type=Path, nargs="+")
    for option, value in (("--patches", 50), ("--rounds", 3), ("--cold", 1)):
        parser.add_argument(option, type=int, default=value)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--spin", action="store_true")
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever installs it has it compiled
    mails = chosen([path.resolve() for path in asked.mails], asked.patches)
    if not mails:
        sys.exit("no mails there: name patch mails, or a folder with *.patch or *.eml")
    with tempfile.TemporaryDirectory(prefix="reviewbot-bench-") as name:
        bench = Bench(asked.repository.resolve(), Path(name))
        costs, why = measured(bench, mails, asked.rounds, asked.cold)
    for what, reason in why.items():
        some = f", of some patches ({len(costs[what])} are in the table)" if costs.get(what) else ""
        print(f"left out: {what}{some}: {reason}")
    if asked.plot:
        plot(costs, asked.plot)
    imports()
    if asked.spin:
        if shutil.which("spin"):
            subprocess.run([sys.executable, str(Path(__file__).with_name("bench_sim.py"))], check=True)
        else:
            print("left out: the simulator beside SPIN: spin is not installed (Debian: spin)")


if __name__ == "__main__":
    main()
