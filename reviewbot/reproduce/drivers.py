"""Drivers: scripts that set up a stack in the guest and work on it so that a schedule of the simulator can come true.

A driver is two files of `drivers/`: `NAME.toml` says for which findings it is, what it needs, under which artificial
conditions it works and who should sit where in the end; `NAME.sh` is run by the guest's init, which calls its `setup` and
its `start`. A new driver is two more files.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import msgspec

from reviewbot.types import ReviewError, Value, Verdict

FOLDER = "drivers"


class Seat(Value, frozen=True):
    """Where somebody of the schedule should be found: all these functions, or longer names of them, are on the stack."""

    role: str
    """As the simulator calls the task."""
    doing: str
    """What the task does there: `waits for ...`."""
    stack: tuple[str, ...]
    without: tuple[str, ...] = ()
    """None of these is."""

    def holds(self, stack: Iterable[str]) -> bool:
        """Whether a stack is that of the seat; the compiler appends `.isra.0` and the like to names."""
        frames = tuple(stack)
        return all(_among(name, frames) for name in self.stack) and not any(_among(n, frames) for n in self.without)


class ScenarioDriver(Value, frozen=True):
    """What `NAME.toml` says, and its name."""

    title: str
    config: tuple[str, ...]
    """Config fragments, in order."""
    conditions: tuple[str, ...]
    """What is artificial in it, a clause each."""
    scenes: tuple[str, ...] = ()
    """Scenes of the simulator that it plays."""
    rules: tuple[str, ...] = ()
    """Rules whose findings it plays where these have no scene but the code itself; `*` for all."""
    files: tuple[str, ...] = ()
    """Where these findings are, as patterns; `*` stays in its folder."""
    seats: tuple[Seat, ...] = ()
    tools: tuple[str, ...] = ()
    """Programs of the host that the guest runs."""
    recipes: tuple[str, ...] = ()
    """Edits of the source that it cannot do without."""
    probes: tuple[str, ...] = ()
    """Edits that say what they see, where nothing happens."""
    command_line: str = ""
    """More words for the kernel."""
    short_memory: bool = False
    """It makes memory short, and gives it back in the end."""
    watched: bool = False
    """What lockdep says counts: the driver plays no schedule, it runs the code."""
    quiet: str = ""
    """What is known of why nothing happens, where nothing does."""
    megabytes: int = 256
    """Memory of the guest."""
    clock: str = "inf-cpu"
    """How time passes in the guest: `inf-cpu` only while all tasks sleep, `basic` also while they run."""
    limit: int = 120
    """Seconds of the guest after which who still works is looked at."""
    again: int = 60
    """Seconds of the guest until they are looked at once more."""
    seconds: int = 300
    """Of the host, for one boot: the guest's time passes only while somebody has something to do, and that are some seconds."""
    cpu_seconds: int = 120
    name: str = ""

    def covers(self, file: str) -> bool:
        """Whether it runs the code of a file."""
        deep = file.count("/")
        return not self.files or any(p.count("/") == deep and fnmatchcase(file, p) for p in self.files)

    def plays(self, verdict: Verdict) -> bool:
        """Whether this is the driver for a finding."""
        finding = verdict.finding
        scene = shlex.split(verdict.model)[0] if verdict.model else ""
        if not self.covers(finding.at.file):
            return False
        if self.watched:  # it runs the code, whatever is said of that
            scene = ""
        return scene in self.scenes or (not scene and not {"*", finding.rule}.isdisjoint(self.rules))

    def script(self) -> bytes:
        """The text of `NAME.sh`."""
        return (files("reviewbot.reproduce") / FOLDER / f"{self.name}.sh").read_bytes()


@cache
def drivers() -> dict[str, ScenarioDriver]:
    """All drivers by name. Raises msgspec's error for a file that is none: they are ours."""
    folder = files("reviewbot.reproduce") / FOLDER
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        name, dot, kind = entry.name.rpartition(".")
        if dot and kind == "toml":
            read = msgspec.toml.decode(entry.read_bytes(), type=ScenarioDriver, strict=True)
            found[name] = msgspec.structs.replace(read, name=name)
    return found


def find(name: str) -> ScenarioDriver:
    """The driver of a name. Raises ReviewError for none."""
    known = drivers()
    if name not in known:
        raise ReviewError(f"there is no driver `{name}`: there are {', '.join(known)}")
    return known[name]


def playing(verdict: Verdict) -> list[ScenarioDriver]:
    """The drivers for a finding: those that play its schedule, else those that only run the code under lockdep."""
    found = [driver for driver in drivers().values() if driver.plays(verdict)]
    return [driver for driver in found if not driver.watched] or found


def running(files_: Iterable[str]) -> list[ScenarioDriver]:
    """The drivers that run the code of some files under lockdep, whatever is said of it."""
    wanted = tuple(files_)
    return [driver for driver in drivers().values() if driver.watched and any(map(driver.covers, wanted))]


def _among(wanted: str, frames: Iterable[str]) -> bool:
    return any(_is(frame, wanted) for frame in frames)


def _is(frame: str, wanted: str) -> bool:
    return frame == wanted or frame.startswith((f"{wanted}.", f"{wanted}_noprof"))
