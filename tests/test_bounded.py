"""`check` has bounds on time and memory, can be stopped at any moment, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import checking
import pytest
from checking import CODE, FILE, innocent, mail

from reviewbot import cli
from reviewbot.process.bounded import Bounds, Exceeded, scratch
from reviewbot.review import Options
from reviewbot.types import Address, Mail, Patch, Series
from reviewbot.watch import reviewer as watch_review
from reviewbot.watch.reviewer import Job, run

Capture = pytest.CaptureFixture[str]
NOBODY = Address(name="", email="")
SERIES = Series(patches=(Patch(mail=Mail("a@b.example", "x", NOBODY, ""), diff=b""),), source="x")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "x.eml").write_text(mail(innocent()))
    return checking.repository(tmp_path / "tree", {FILE: CODE})


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.mark.parametrize(
    ("reviewer", "options", "says"),
    [
        ("inbox:sleeper", ["--time-limit", "3"], "not reviewed within 3 s; --time-limit allows more"),
        ("inbox:eater", ["--memory-limit", "400"], "the review needs more than 400 MB; --memory-limit allows more"),
        ("inbox:starver", ["--memory-limit", "400"], "the review needs more than 400 MB; --memory-limit allows more"),
        ("inbox:crasher", [], "the reviewer ended early (Segmentation fault)"),
    ],
)
def test_what_takes_too_much_is_unreviewed(
    reviewer: str, options: list[str], says: str, tree: Path, temporary: Path, capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(watch_review, "REVIEWER", reviewer)
    argv = ["check", str(tree.parent / "x.eml"), "--tree", str(tree), *options]
    assert cli.run(argv) == 4
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"reviewbot: {says}\n")
    assert cli.run([*argv, "--json"]) == 4
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert (answer["verdict"], answer["reason"], err) == ("unreviewed", says, "")
    assert answer["series"]["message_id"] == "one@example.org"
    assert list(temporary.iterdir()) == []


def test_a_fault_of_ours_is_a_fault(
    tree: Path, temporary: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_review, "REVIEWER", "inbox:raiser")
    assert cli.run(["check", str(tree.parent / "x.eml"), "--tree", str(tree)]) == 5
    assert "ZeroDivisionError: a fault of the rules" in capsys.readouterr().err
    assert list(temporary.iterdir()) == []


def test_a_rule_without_memory_is_no_fault_of_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    from reviewbot import review, rules
    from reviewbot.types import Change

    class Hungry:
        id = "hungry"

        def candidates(self, diff: object) -> list[object]:
            raise MemoryError

    class Found:
        broken = ()
        rules = (Hungry(),)

    monkeypatch.setattr(rules, "find", Found)
    side = SimpleNamespace(unit=lambda path: None)
    diff = SimpleNamespace(before=side, after=side, build=lambda: None, cuts=(), added=(), removed=())
    monkeypatch.setattr("reviewbot.rule.Diff.of", lambda *_: diff)
    with pytest.raises(MemoryError):
        review.examine(Change(base="", how="", files=(), patches=(), flags=()), None, None)  # type: ignore[arg-type]


def test_the_watcher_has_the_same_bounds(temporary: Path) -> None:
    with pytest.raises(Exceeded, match="not reviewed within 2 s"):
        run(Job(series=SERIES, options=Options(), reviewer="inbox:sleeper", seconds=2))
    assert list(temporary.iterdir()) == []


PARENT = """
import sys
from reviewbot.process.bounded import Bounds, Child
if __name__ == "__main__":
    with Child("sitting", sys.argv[1]) as child:
        child.ask(b"sit", Bounds())
"""
SITTING = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from reviewbot.csource import cache
from reviewbot.process import bounded

def sit(source):
    Path(sys.argv[2], str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    bounded.begin()
    cache._encoded = sit
    Path(sys.argv[2], str(os.getpid())).touch()
    [*cache._spread({str(n): b"" for n in range(20)}, 2)]
"""


def test_a_child_and_its_own_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (tmp_path / "sitting.py").write_text(SITTING)
    (tmp_path / "parent.py").write_text(PARENT)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", notes], env={**os.environ, "PYTHONPATH": path})
    until(lambda: len([*notes.iterdir()]) == 3)
    parent.kill()
    parent.wait()
    until(lambda: not any(Path("/proc", note.name).exists() for note in notes.iterdir()))


def until(holds: Callable[[], bool]) -> None:
    """Waits for something that has to come; fails where it does not."""
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.1)
    pytest.fail("it never came to that")


def test_all_temporary_files_of_a_body_go_with_it(temporary: Path) -> None:
    import tempfile

    def body() -> None:
        with scratch() as folder:
            assert Path(tempfile.mkdtemp()).parent == Path(folder)
            Path(folder, "left").write_text("behind")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        body()
    assert list(temporary.iterdir()) == []
    assert os.environ["TMPDIR"] == str(temporary)


# --- asked to stop ---------------------------------------------------------------------------------------------------


@contextmanager
def started(*argv: str | Path, temporary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command line as a process of its own, whose standard input stays open."""
    environment = os.environ | {"PYTHONPATH": str(checking.ROOT), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "reviewbot", *map(str, argv)]
    process = subprocess.Popen(
        command, cwd=temporary.parent, env=environment, preexec_fn=heard,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(OSError):
            process.kill()
        process.communicate()


def heard() -> None:
    """In the new process: a shell's background job, which these tests may run in, is deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def in_python(process: subprocess.Popen[bytes]) -> bool:
    """Whether our first instruction was reached: SIGTERM is caught from there on."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 0.1, 0.4, 1.0])
def test_asked_to_stop_it_leaves_at_once_and_nothing_behind(after: float, asked: int, temporary: Path) -> None:
    with started("check", "-", temporary=temporary) as process:  # waits for its standard input for ever
        while not in_python(process):
            time.sleep(0.001)
        time.sleep(after)
        process.send_signal(asked)
        out, err = process.communicate(timeout=600)
    err = err.lstrip(b"\n")  # click ends the line with the ^C of the terminal
    assert (process.returncode, out, err) == (130, b"", b"reviewbot: interrupted\n")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_in_a_review_it_ends_its_children(asked: int, tree: Path, temporary: Path) -> None:
    script = (
        "from reviewbot.process import stopping\n"
        "from reviewbot import cli\n"
        "from reviewbot.watch import reviewer\n"
        "reviewer.REVIEWER = 'inbox:sleeper'\n"
        f"cli.main(['check', {str(tree.parent / 'x.eml')!r}, '--tree', {str(tree)!r}])\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{checking.ROOT}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, preexec_fn=heard)
    while not (child := asleep(process.pid)):
        assert process.poll() is None, "it ended before it reviewed"
        time.sleep(0.05)
    process.send_signal(asked)
    _, err = process.communicate(timeout=600)
    assert (process.returncode, err.lstrip(b"\n")) == (130, b"reviewbot: interrupted\n")
    assert list(temporary.iterdir()) == []
    assert not Path(f"/proc/{child}").exists()


def asleep(parent: int) -> int:
    """The child process of that parent that is in clock_nanosleep(2), as `sleeper` is; 0 for none."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            of = int(status.read_text().rpartition(")")[2].split()[1])
            if of == parent and (status.parent / "syscall").read_text().split()[0] == "230":
                return int(status.parent.name)
    return 0


def test_the_bounds_of_check_are_those_of_the_options(capsys: Capture) -> None:
    assert cli.run(["check", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--time-limit" in shown
    assert "--memory-limit" in shown
    assert Bounds() == Bounds(seconds=600, megabytes=4096)
    for wrong in (["--time-limit", "0"], ["--memory-limit", "-1"], ["--time-limit", "soon"]):
        assert cli.run(["check", "x", *wrong]) == 2
        capsys.readouterr()
