"""Runs one command where it can do no harm: bubblewrap, no network, nothing of the host writable, bounded in all it takes.

The command gets its input on standard input and gives its result on standard output: no folder of the host is shared
for writing. What it needs for files in between is a tmpfs of a bounded size, which goes with it. Called by root, it
gives root up inside, so that what it runs is as unprivileged as for anybody else.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from reviewbot.limits import MAX_SANDBOX_PROCESSES
from reviewbot.types import ReviewError, Value

NOBODY = 65534
"""User and group that root becomes inside."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ld.so.cache")
"""What programs need of the host, readable."""
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_CHUNK = 1 << 16
LOOKS = 0.5
"""Seconds between two looks at the memory."""


class Allowance(Value, frozen=True):
    """What one command may take."""

    seconds: float
    """By the clock."""
    cpu_seconds: int
    """Of each of its processes."""
    process_megabytes: int
    """Of memory, each of its processes."""
    disk_megabytes: int
    """Of all its files together, which are in memory."""
    output_megabytes: int
    """Of what it says."""
    together_megabytes: int = 2048
    """Of memory, all its processes together, without the files."""


class SandboxResult(Value, frozen=True):
    """How a command ended: its code, what it said on both streams, and why it was ended where it was."""

    code: int
    output: bytes
    said: str
    cut: str = ""
    """`time`, `output`, `memory`, or empty."""


def needed() -> str:
    """What is missing here for a sandbox, in words; empty where there is all."""
    lacking = [p for p in ("bwrap", "prlimit", "setarch", "setpriv") if not shutil.which(p, path=PATH)]
    if lacking:
        return f"{' and '.join(lacking)} (Debian: bubblewrap, util-linux)"
    if subprocess.run([*_wrapped({}, 1), "true"], capture_output=True, check=False).returncode:
        return "a kernel that lets bubblewrap make namespaces"
    return ""


def run(
    command: Sequence[str],
    allowance: Allowance,
    shown: Mapping[str, Path] | None = None,
    fed: Callable[[BinaryIO], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> SandboxResult:
    """Run a command in a sandbox and wait for it.

    In: shown, a path inside -> a file of the host that is readable there; fed writes its standard input. The folder that
    it starts in, /work, is its own. Raises ReviewError where there is no sandbox to be had.
    """
    if not shutil.which("bwrap", path=PATH):
        raise ReviewError("cannot find the program bwrap: install bubblewrap, without which no patch is run here")
    settings = [f"{name}={value}" for name, value in (environment or {}).items()]
    words = [*_limits(allowance), *_wrapped(shown or {}, allowance.disk_megabytes), "env", *settings, *command]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={"PATH": PATH, "HOME": "/work", "TMPDIR": "/work", "LC_ALL": "C"},
        )
        late, faults = threading.Event(), list[Exception]()
        timer = threading.Timer(allowance.seconds, _end, (process, late))
        timer.start()
        large, over = threading.Event(), threading.Event()
        watched = (process, allowance.together_megabytes << 10, large, over)
        threading.Thread(target=_watch, args=watched, daemon=True).start()
        try:
            if fed:
                threading.Thread(target=_feed, args=(process, fed, faults), daemon=True).start()
            output, full = _read(process, allowance.output_megabytes << 20)
            if full:
                _end(process)
            code = process.wait()
        finally:
            over.set()
            timer.cancel()
            _end(process)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _CHUNK))
        said = errors.read().decode("utf-8", "replace")
    if faults:
        raise faults[0]
    cut = "time" if late.is_set() else "memory" if large.is_set() else "output" if full else ""
    return SandboxResult(code, output, said, cut)


def _wrapped(shown: Mapping[str, Path], disk_megabytes: int) -> list[str]:
    """The command line of bubblewrap up to the command that it runs."""
    words = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev"]
    words += ["--perms", "0755", "--dir", "/etc", "--dir", "/tmp"]
    for path in SYSTEM:
        words += ["--ro-bind-try", path, path]
    words += ["--perms", "1777", "--size", str(disk_megabytes << 20), "--tmpfs", "/work", "--chdir", "/work"]
    for inside, outside in shown.items():
        words += ["--ro-bind", str(outside), inside]
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    # In a namespace of its own somebody could mount as much memory as there is.
    alone = ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    if os.geteuid():
        return [*words, *alone]
    words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
    give_up = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    words += ["setpriv", *give_up, "--no-new-privs"]
    return [*words, "bwrap", "--dev-bind", "/", "/", "--die-with-parent", *alone]


def _limits(allowance: Allowance) -> list[str]:
    """The command line that bounds each process of what follows it."""
    bounds = {
        "cpu": allowance.cpu_seconds,
        "data": allowance.process_megabytes << 20,
        "fsize": allowance.disk_megabytes << 20,
        "nproc": MAX_SANDBOX_PROCESSES,
        "core": 0,
    }
    return ["prlimit", *(f"--{name}={_lower(name, most)}" for name, most in bounds.items())]


def _lower(name: str, most: int) -> int:
    """A bound, or the one that there is already where that is lower."""
    hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def _feed(process: subprocess.Popen[bytes], fed: Callable[[BinaryIO], None], faults: list[Exception]) -> None:
    """Write the standard input; what goes wrong with that is for who waits, but that the command has ended before."""
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError), process.stdin as stdin:
            fed(stdin)  # type: ignore[arg-type]  # a buffered writer, typed as IO[bytes]
    except Exception as error:
        faults.append(error)


def _read(process: subprocess.Popen[bytes], most: int) -> tuple[bytes, bool]:
    """What the command says, up to so many bytes, and whether it said more."""
    assert process.stdout is not None
    parts, left = [], most
    with process.stdout as stdout:
        while left > 0 and (part := stdout.read1(min(left, _CHUNK))):  # type: ignore[attr-defined]
            parts.append(part)
            left -= len(part)
    return b"".join(parts), left <= 0


def _watch(process: subprocess.Popen[bytes], most: int, large: threading.Event, over: threading.Event) -> None:
    """Kill the command when all of its processes together have more kilobytes than `most`; ends when it is over."""
    while not over.wait(LOOKS):
        if _memory(process.pid) > most:
            _end(process, large)


def _memory(pid: int) -> int:
    """Kilobytes that a process and all below it have for themselves; files, also those in memory, are not counted."""
    total = 0
    with suppress(OSError):  # it may be gone by now
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_memory(int(child)) for child in children.read_text().split())
    return total


def _end(process: subprocess.Popen[bytes], late: threading.Event | None = None) -> None:
    """Kill bubblewrap, and with the first process of its namespace all that is in there; `late` is set before."""
    if late is not None:
        late.set()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
