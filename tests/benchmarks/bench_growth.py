"""How the cost of a review grows with what is reviewed: `python tests/benchmarks/bench_growth.py [ROUNDS]`.

Made-up drivers in a repository of their own: a series of more patches, a file of more functions, a cycle of calls through more
functions, a folder with more files. Each review is a process forked from one that has everything imported and nothing read;
what is kept on disk is warm, as in a run over many patches. Printed are medians of seconds of processor time and the memory
of the process; the first row of a part is what the others are compared with.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median

import msgspec

from reviewbot.types import Address, Decision, Mail, Patch, Series

HEADER = "#include <linux/mutex.h>\n\nstruct demo { struct mutex lock; int count; };\n\n"
PATH = "drivers/demo/demo.c"
Files = Mapping[str, str]
Case = tuple[Files, list[str]]


def function(number: int, calls: str = "") -> str:
    call = f"\t{calls}(d);\n" if calls else ""
    return (
        f"static void demo_{number}(struct demo *d)\n{{\n\tmutex_lock(&d->lock);\n\td->count += {number};\n"
        f"\tmutex_unlock(&d->lock);\n{call}}}\n\n"
    )


def file(functions: int) -> str:
    return HEADER + "".join(function(n) for n in range(functions))


def cycle(functions: int) -> str:
    """Each function calls the next one, the last the first, all of them in a file of 256."""
    heads = "".join(f"static void demo_{n}(struct demo *d);\n" for n in range(functions))
    ring = "".join(function(n, f"demo_{(n + 1) % functions}") for n in range(functions))
    return HEADER + heads + "\n" + ring + "".join(function(n) for n in range(functions, 256))


def edited(text: str, number: int) -> str:
    return text.replace(f"count += {number};", f"count += {number} + 1;")


def one(text: str) -> Case:
    return {PATH: text}, [text, edited(text, 0)]


def series(patches: int) -> Case:
    states = [file(256)]
    for number in range(patches):
        states.append(edited(states[-1], number))
    return {PATH: states[0]}, states


def folder(files: int) -> Case:
    """The other files have functions of their own."""
    others = {f"drivers/demo/demo{n}.c": file(40).replace("demo_", f"demo{n}_") for n in range(files - 1)}
    made, states = one(file(40))
    return {**others, **made}, states


PARTS: dict[str, tuple[Callable[[int], Case], tuple[int, ...]]] = {
    "patches of a series (one file of 256 functions)": (series, (1, 4, 16, 64)),
    "functions of the file": (lambda n: one(file(n)), (16, 64, 256, 1024)),
    "functions of a cycle of calls (in a file of 256)": (lambda n: one(cycle(n)), (2, 8, 32, 128)),
    "files of the folder (40 functions each)": (folder, (1, 8, 32, 128)),
}


def repository(at: Path, files: Files) -> Path:
    at.mkdir()
    for path, text in files.items():
        (at / path).parent.mkdir(parents=True, exist_ok=True)
        (at / path).write_text(text)
    git = ["git", "-C", str(at), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run([*git, *command], check=True)
    return at


def posted(states: list[str]) -> Series:
    patches = []
    for number, (old, new) in enumerate(pairwise(states), 1):
        rows = difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{PATH}", f"b/{PATH}")
        mail = Mail(f"{number}@dev.example", f"demo: {number}", Address("A", "a@dev.example"), "")
        patches.append(Patch(mail, f"diff --git a/{PATH} b/{PATH}\n{''.join(rows)}".encode(), number))
    return Series(tuple(patches), expected=len(patches))


def reviewed(tree: Path, asked: Series) -> tuple[float, float]:
    """Seconds of processor time and megabytes of one review, in a process of its own."""
    from reviewbot.review import Options, review

    read, write = os.pipe()
    if os.fork() == 0:
        started = time.process_time()
        decision = review(asked, Options(tree=str(tree))).decision
        spent = time.process_time() - started
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(write, msgspec.json.encode((decision.value, spent, most)))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        decision, spent, most = msgspec.json.decode(answer.read(), type=tuple[str, float, float])
    os.wait()
    assert decision == Decision.ACK.value, decision
    return spent, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=3, help="reviews of each size (3)")
    rounds = parser.parse_args().rounds
    gc.set_threshold(5_000_000, 20, 100)  # as the command line has it
    from reviewbot.watch.reviewer import _import

    _import()
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"
        for number, (title, (make, sizes)) in enumerate(PARTS.items()):
            print(title)
            first = 0.0
            for size in sizes:
                files, states = make(size)
                tree, asked = repository(Path(name, f"{number}-{size}"), files), posted(states)
                reviewed(tree, asked)
                runs = [reviewed(tree, asked) for _ in range(rounds)]
                spent, most = median(r[0] for r in runs), max(r[1] for r in runs)
                first = first or spent
                print(f"{size:8} {spent:8.3f} s  x {spent / first:6.2f}  {most:6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
