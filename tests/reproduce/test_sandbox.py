"""What is run in the sandbox sees no network and no file of its own of the host, is nobody, and takes no more than it may."""

from __future__ import annotations

import ast
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest
from test_layers import MODULES, imports

from reviewbot.reproduce import sandbox
from reviewbot.reproduce.sandbox import Allowance, SandboxResult
from reviewbot.types import ReviewError

LITTLE = Allowance(seconds=60, cpu_seconds=20, process_megabytes=256, disk_megabytes=16, output_megabytes=1)


@pytest.fixture(autouse=True)
def _there_is_one() -> None:
    lacking = sandbox.needed()
    if lacking:
        pytest.skip(f"no sandbox here: this needs {lacking}")


def run(script: str, allowance: Allowance = LITTLE) -> SandboxResult:
    return sandbox.run(["sh", "-c", script], allowance)


def test_input_and_output_are_all_that_goes_in_and_out(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.write_text("shown")
    shown.chmod(0o644)
    result = sandbox.run(
        ["sh", "-c", "cat /given -; echo x > kept; ls"],
        LITTLE,
        shown={"/given": shown},
        fed=lambda f: f.write(b" fed\n") and None,
    )
    assert result == SandboxResult(0, b"shown fed\nkept\n", "")
    assert sorted(tmp_path.iterdir()) == [shown]


def test_what_goes_wrong_with_the_input_is_raised() -> None:
    def fails(stdin: BinaryIO) -> None:
        stdin.write(b"half of it\n")
        raise ReviewError("an object is missing")

    with pytest.raises(ReviewError, match="an object is missing"):
        sandbox.run(["cat"], LITTLE, fed=fails)


def test_a_command_may_end_before_it_has_read_its_input() -> None:
    result = sandbox.run(["true"], LITTLE, fed=lambda stdin: [stdin.write(b"x" * 1000) for _ in range(10_000)] and None)
    assert result.code == 0


def test_nothing_of_the_host_can_be_written_and_no_home_is_there(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("secret")
    result = run(
        f"cat {mine}; touch /usr/bin/new /new /bin/new; ls {Path.home()} /home /root; cat /etc/shadow; echo done"
    )
    assert result.output == b"done\n"


def test_there_is_no_network() -> None:
    assert run("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '").output == b"lo\n"


def test_root_is_given_up_and_no_capability_is_left() -> None:
    result = run("id -u; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status")
    uid, capabilities, fresh = result.output.decode().split("\n")[:3]
    assert int(uid) == (os.geteuid() or sandbox.NOBODY)
    assert capabilities.split()[1].strip("0") == ""
    assert fresh.split()[1] == "1"


def test_it_does_not_see_the_processes_of_the_host() -> None:
    assert f"/proc/{os.getpid()}/" not in run("ls -d /proc/[0-9]*/").output.decode() or os.getpid() < 50


def test_time_is_bounded_and_nothing_stays_behind() -> None:
    result = run("sleep 7654321 & sleep 7654321", Allowance(1, 20, 256, 16, 1))
    assert result.cut == "time"
    told = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
    assert not any(b"7654321" in words for words in told)


def test_disk_is_bounded() -> None:
    result = run("for n in 1 2 3 4; do head -c 9000000 /dev/zero > file$n || break; done; du -s -B1 . | cut -f1")
    assert int(result.output) <= LITTLE.disk_megabytes << 20


def test_output_is_bounded() -> None:
    result = run("yes")
    assert result.cut == "output"
    assert len(result.output) == LITTLE.output_megabytes << 20


def test_memory_is_bounded() -> None:
    result = run("""python3 -c 'x = bytearray(1 << 30); print(len(x))'""")
    assert result.output == b""
    assert result.code != 0


def test_the_memory_of_many_processes_is_bounded_too() -> None:
    one = "python3 -c 'import time; x = bytearray(60 << 20); x[::4096] = b\"x\" * len(x[::4096]); time.sleep(50)' &"
    allowance = Allowance(60, 20, 256, 16, 1, together_megabytes=200)
    assert run(f"{one * 8} wait; echo done", allowance).cut == "memory"
    assert run(f"{one} sleep 2; kill $!; echo done", allowance).output == b"done\n"


def test_nothing_but_its_own_folder_can_be_written_and_that_has_its_bound() -> None:
    result = run("for d in /dev /dev/shm /etc /tmp /var /usr / /proc; do touch $d/new && echo $d; done; touch x && ls")
    assert result.output == b"x\n"


def test_it_cannot_make_a_namespace_in_which_it_may_mount_more() -> None:
    result = run("unshare --user --map-root-user --mount sh -c 'mount -t tmpfs x /work && echo mounted'; echo done")
    assert result.output == b"done\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_somebody_else_starts_is_bounded_as_well() -> None:
    """Without root the namespace is made in another way."""
    script = (
        "for d in /dev /dev/shm /etc /tmp; do touch $d/new && echo $d; done; unshare --user true && echo user; id -u"
    )
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)
        with suppress(BaseException):
            os.write(theirs, run(script).output)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        assert told.read() == "12345\n"
    os.waitpid(child, 0)


def test_it_does_not_hear_the_host() -> None:
    """Neither an address of the host nor a socket of it without a name can be reached."""
    with socket.socket() as listening, socket.socket(socket.AF_UNIX) as nameless:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        nameless.bind(f"\0reviewbot-{os.getpid()}")
        nameless.listen()
        tries = (
            f"import socket\nfor a, b in ((socket.AF_INET, {listening.getsockname()!r}), "
            f"(socket.AF_UNIX, chr(0) + 'reviewbot-{os.getpid()}')):\n"
            " try:\n  socket.socket(a).connect(b); print('reached', b)\n except OSError as e:\n  print('no')\n"
        )
        assert sandbox.run(["python3", "-c", tries], LITTLE).output == b"no\nno\n"


def test_no_review_and_no_watcher_comes_here() -> None:
    """Only the command that somebody types, and the backtest that somebody asks for, import what runs a patch."""
    may = {"reviewbot.commands.reproduce", "reviewbot.commands.backtest", "reviewbot.bench.reproduced"}
    for module, path in MODULES.items():
        if not ours(module) and module not in may:
            assert not {name for name in imports(path) if ours(name) or name == "reviewbot.bench.reproduced"}, module


def test_what_a_review_and_the_watcher_import_ends_before_it_comes_here() -> None:
    """Whatever file is in between; and neither names the command, which it could start as a process."""
    seen, left = set[str](), [m for m in MODULES if m.startswith(("reviewbot.watch", "reviewbot.review"))]
    left += ["reviewbot.commands.watch", "reviewbot.commands.check"]
    while left:
        module = left.pop()
        if module in MODULES and module not in seen:
            seen.add(module)
            left += imports(MODULES[module])
    assert {"reviewbot.watch.poll", "reviewbot.replay.judge"} <= seen
    assert not {module for module in seen if ours(module)}
    for module in (m for m in seen if m.startswith(("reviewbot.watch", "reviewbot.commands.watch"))):
        words = {n.value for n in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(n, ast.Constant)}
        assert not {"reproduce", "--reproduced"} & words, module


def ours(module: str) -> bool:
    return module == "reviewbot.reproduce" or module.startswith("reviewbot.reproduce.")
