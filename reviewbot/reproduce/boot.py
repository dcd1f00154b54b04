"""One boot of a built kernel with a driver, in a sandbox: its console, read, and what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Literal

from reviewbot.reproduce import rootfs, sandbox
from reviewbot.reproduce.console import ConsoleLog, read
from reviewbot.reproduce.drivers import ScenarioDriver
from reviewbot.types import Value

Ending = Literal["hung", "complained", "finished", "failed"]
"""`complained`: all went well, and lockdep says that it need not."""
CONSOLE_MEGABYTES = 16


class Boot(Value, frozen=True):
    """One boot: how the work ended, why it failed where it did, seconds of the host, and the console."""

    ending: Ending
    log: ConsoleLog
    seconds: float
    why: str = ""
    text: bytes = b""


@contextmanager
def guest(driver: ScenarioDriver) -> Iterator[Path]:
    """The root file system of the guest with a driver in it, as a file that stays for the body.

    Raises ReviewError where a program is missing.
    """
    folder = files("reviewbot.reproduce") / "guest"
    texts = {"init": (folder / "init").read_bytes(), "driver": driver.script()}
    texts |= {f"lib/driver/{e.name}": e.read_bytes() for e in folder.iterdir() if e.is_file() and e.name != "init"}
    with tempfile.NamedTemporaryFile(prefix="reviewbot-", suffix=".cpio") as file:
        file.write(rootfs.archive(driver.tools, texts))
        file.flush()
        Path(file.name).chmod(0o644)  # inside of the sandbox it is another user's
        yield Path(file.name)


def boot(kernel: Path, root: Path, driver: ScenarioDriver, number: int) -> Boot:
    """Boot a kernel once; `number`, from 1, is the driver's to make one run a little different from the others."""
    began = perf_counter()
    allowance = sandbox.Allowance(
        seconds=driver.seconds,
        cpu_seconds=driver.cpu_seconds,
        process_megabytes=driver.megabytes + 256,
        disk_megabytes=driver.megabytes + 64,  # the memory of the guest is a file
        output_megabytes=CONSOLE_MEGABYTES,
        together_megabytes=driver.megabytes + 1024,
    )
    words = [
        *("setarch", "--addr-no-randomize"),  # a random break enlarges the file that is the guest's memory
        "/kernel",
        f"mem={driver.megabytes}M",
        "initrd=/root.cpio",
        "ramdisk_size=32768",
        "time-travel" if driver.clock == "basic" else "time-travel=inf-cpu",
        "quiet",
        "con0=null,fd:1",
        "con=null",
        "panic=-1",
        *driver.command_line.split(),
        *settings(driver, number),
    ]
    result = sandbox.run(words, allowance, shown={"/kernel": kernel, "/root.cpio": root})
    log = read(result.output)
    ending, why = judged(log, result.cut, driver.watched)
    return Boot(ending, log, round(perf_counter() - began, 2), why or _last(result.said, log), result.output)


def settings(driver: ScenarioDriver, number: int) -> list[str]:
    """What the guest's init and the driver get from the kernel's command line, as variables."""
    given: Mapping[str, int] = {"RUN": number, "LIMIT": driver.limit, "AGAIN": driver.again}
    return [f"{name}={value}" for name, value in given.items()]


def judged(log: ConsoleLog, cut: str, watched: bool = False) -> tuple[Ending, str]:
    """What came of a boot, and why where that is nothing. A run whose stack never stood says nothing of a deadlock."""
    if log.hung:
        return "hung", ""
    if watched and log.splats:
        return "complained", ""
    if log.started and log.finished:
        return "finished", ""
    if log.failed:
        return "failed", log.failed
    if cut:
        return "failed", f"it used up its {cut}"
    if log.left:
        return "failed", f"{log.left} tasks did not end, and nobody slept at one place"
    return "failed", ""


def _last(said: str, log: ConsoleLog) -> str:
    if log.ended:
        return ""
    return (said.strip().splitlines() or ["the kernel did not start"])[-1]
