"""SPIN as a second opinion: from an automaton to its verdict, with the time that each stage takes."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from reviewbot.sim.automaton import Automaton
from reviewbot.sim.promela import promela


class Spin(NamedTuple):
    """What SPIN says: whether there is an invalid end state, the states it stored, and what it took."""

    stuck: bool
    states: int
    seconds: float
    """Of the clock, for generating, compiling and running."""
    cpu: float
    """Of the processor, children included."""


def spin(automaton: Automaton, *flags: str) -> Spin:
    """Generate, compile and run the verifier; skips the test where there is no spin or no C compiler.

    Without flags for the compiler SPIN does it all its own way (`spin -run -safety`).
    """
    for tool in ("spin", "gcc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: apt-get install {tool})")
    with tempfile.TemporaryDirectory() as folder:
        started, before = time.perf_counter(), _cpu()
        Path(folder, "model.pml").write_text(promela(automaton))
        if flags:
            run(["spin", "-a", "model.pml"], folder)
            run(["gcc", "-w", "-DSAFETY", *flags, "-o", "pan", "pan.c"], folder)
            out = run(["./pan", "-m1000000"], folder)
        else:
            out = run(["spin", "-run", "-safety", "-m1000000", "model.pml"], folder)
        seconds, cpu = time.perf_counter() - started, _cpu() - before
    errors, states = re.search(r"errors: (\d+)", out), re.search(r"([\d.e+]+) states, stored", out)
    assert errors is not None, out
    assert states is not None, out
    assert "search depth too small" not in out, out
    assert errors[1] == "0" or "invalid end state" in out, out
    return Spin(errors[1] != "0", int(float(states[1])), seconds, cpu)


def _cpu() -> float:
    """Seconds of processor time of this process and all its children that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
