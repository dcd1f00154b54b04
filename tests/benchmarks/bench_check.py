"""How long a review takes from message-id to draft, as whole processes on a warm cache, beside b4 am and git am.

    python tests/benchmarks/bench_check.py REPOSITORY MAIL [ROUNDS]

The mail is served as a thread by a public-inbox look-alike on loopback and fetched by its id; `reviewbot check` then
applies and reviews it on REPOSITORY, `b4 am` fetches the same id, `git am` applies it in a sparse clone. All ways take
turns; printed are medians, the ratio to reviewbot, the split by `timing`, and what importing the command line costs.
"""

from __future__ import annotations

import gzip
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).parents[2]
MAIN = "from reviewbot.cli import main; main()"


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


def timed(argv: list[str], cwd: Path, expect: set[int], **environment: str) -> tuple[float, bytes]:
    """Seconds of a process, and its output."""
    start = perf_counter()
    done = subprocess.run(argv, cwd=cwd, capture_output=True, check=False, env=os.environ | environment)
    seconds = perf_counter() - start
    if done.returncode not in expect:
        sys.exit(f"{argv}: {done.returncode}: {done.stderr.decode()}")
    return seconds, done.stdout


def git_am(clone: Path, mail: Path) -> float:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    timed([*git, "reset", "-q", "--hard", "start"], clone, {0})
    return timed([*git, "am", "-q", str(mail)], clone, {0})[0]


def sparse(repository: Path, mail: bytes, folder: Path) -> Path:
    """A clone with only the files of the patch in its work tree: the cheapest git am there is."""
    clone = folder / "clone"
    files = re.findall(rb"^diff --git a/(\S+) ", mail, re.MULTILINE)
    timed(["git", "clone", "-q", "--shared", "--no-checkout", str(repository), str(clone)], folder, {0})
    timed(["git", "sparse-checkout", "set", "--no-cone", *(f"/{f.decode()}" for f in files)], clone, {0})
    timed(["git", "checkout", "-q"], clone, {0})
    timed(["git", "tag", "start"], clone, {0})
    return clone


def imports() -> None:
    """What starting the command line costs, in a process of its own, and which modules take most of it."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    runs = []
    for code in ("pass", "import reviewbot.cli"):
        seconds = [timed([sys.executable, "-c", code], ROOT, {0}, PYTHONPATH=str(ROOT))[0] for _ in range(9)]
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
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever installs it has it compiled
    repository, mail = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    raw = mail.read_bytes()
    asked = str(message_from_bytes(raw)["Message-ID"]).strip("<> ")
    with tempfile.TemporaryDirectory(prefix="reviewbot-bench-") as name, served(raw) as inbox:
        folder = Path(name)
        clone = sparse(repository, raw, folder)
        cold = folder / "cache"
        check = [sys.executable, "-c", MAIN, "check", asked, "--inbox", inbox, "--tree", str(repository), "--json"]
        check += ["--draft", str(folder / "reply.eml")]
        own = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cold), "XDG_STATE_HOME": str(folder / "state")}
        split: dict[str, list[float]] = {}

        def review() -> float:
            shutil.rmtree(cold / "reviewbot/threads", ignore_errors=True)  # it is fetched each time
            seconds, out = timed(check, folder, {0, 1, 3}, **own)
            for stage, part in json.loads(out)["timing"].items():
                split.setdefault(stage, []).append(part)
            return seconds

        ways: dict[str, Callable[[], float]] = {"reviewbot check": review, "git am": lambda: git_am(clone, mail)}
        if b4 := shutil.which("b4", path=str(Path(sys.executable).parent)):
            home = folder / "home"
            home.mkdir()
            mask = ["-c", f"b4.midmask={inbox}/%s", "-c", f"b4.linkmask={inbox}/%s"]
            argv = [b4, *mask, "am", "-o", str(folder), "--no-cover", "--single-message", asked]
            quiet = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_DATA_HOME": str(home)}
            ways["b4 am"] = lambda: timed(argv, clone, {0}, **quiet)[0]
        print(f"first run, nothing cached: {review():.2f} s")
        split.clear()
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                times[way].append(run())
        base = median(times["reviewbot check"])
        for way, seconds in times.items():
            print(f"{way:18} {median(seconds):7.3f} s  x {median(seconds) / base:5.2f}  (least {min(seconds):.3f})")
        inside = median(split["total"])
        print("    " + ", ".join(f"{stage} {median(parts):.3f}" for stage, parts in split.items()))
        print(f"    before and after that: {base - inside:.3f}")
    imports()


if __name__ == "__main__":
    main()
