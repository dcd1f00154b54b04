"""A patch mail and a series of ten to a Series, against `b4 am` on the same mbox, whole processes each.

Usage: python tests/benchmarks/bench_lore.py [RUNS]. Prints the median seconds of each, and the ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import lore_mails as m

READ = "import sys; from reviewbot.mail import fetch; fetch.fetch(sys.argv[1])"


def median(what: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        what()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    b4 = Path(sys.executable).with_name("b4")
    with tempfile.TemporaryDirectory() as home:
        cases = {"one patch": [m.patch("PATCH", id="one@dev.example")], "ten patches": m.series("ten", 10)}
        env = os.environ | {"HOME": home, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": str(Path(__file__).parents[2])}
        for name, mails in cases.items():
            box = Path(home, name.replace(" ", "-"))
            box.write_bytes(m.mbox(mails))
            ours = [sys.executable, "-c", READ, str(box)]
            peer = [str(b4), "-n", "-c", "b4.attestation-policy=off", "am", "-m", str(box), "--no-add-trailers", "-o-"]
            peer += [m.read_id(mails[0])]

            def run(command: list[str]) -> None:
                subprocess.run(command, check=True, capture_output=True, cwd=home, env=env)

            mine, theirs = median(lambda c=ours: run(c), runs), median(lambda c=peer: run(c), runs)  # type: ignore[misc]
            print(f"{name}: reviewbot.mail.fetch {mine:.3f} s, b4 am {theirs:.3f} s, ratio {mine / theirs:.2f}")


if __name__ == "__main__":
    main()
