"""The picture in a terminal, its steps by keys, and as SVG."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_explain import kept, repository
from test_picture import CIRCLE, long

from reviewbot.cli import run
from reviewbot.report.picture import layout
from reviewbot.report.terminal import circle, drawn
from reviewbot.types import Step, Trace

__all__ = ["repository"]


def plain(lines: object) -> str:
    return "\n".join(line.plain.rstrip() for line in lines)  # type: ignore[attr-defined]


PICTURE = """\
      f()                             g()
      ────────────────────────────    ───────────────────────────
  1 ┃ takes a
    ┃ holds a for read
  2 ┃ │                            ┃  takes b
    ┃ │                            ┃  holds b
  3 ┃ │                            ┃┃ takes c
    ┃ │                            ┃┃ holds c
  4 ┃ │                            ┃╹ releases c
  5 ┃ blocks in mutex_lock(&b)     ┃  │
    ┃ wants b                      ┃  │
  6 ┃ ┊                            ┃  blocks in down_write(&a),
    ┃ ┊                            ┃  ahead of new readers
    ┃ ┊                            ┃  wants a for write

      holds a for read                holds b
      waits for g() to release b      waits for f() to release a"""


def test_a_name_that_is_too_long_is_broken_behind_a_sign_of_c() -> None:
    trace = Trace((Step("f()", "blocks in mempool_alloc(&a_name_that_is_long->pool)"), Step("g()", "runs")), ())
    assert [line.split() for line in plain(drawn(layout(trace), 50)).split("\n")[2:5]] == [
        ["1", "blocks", "in"],
        ["mempool_alloc(&a_"],
        ["name_that_is_long->"],
    ]


def test_lanes_stand_side_by_side_with_what_is_held() -> None:
    assert plain(drawn(layout(CIRCLE), 66)) == PICTURE


def test_what_is_held_and_who_is_stuck_has_its_colour() -> None:
    lines = drawn(layout(CIRCLE), 66)
    styles = {line.plain[span.start : span.end].strip(): str(span.style) for line in lines for span in line.spans}
    assert styles["holds b"] == "bright_blue reverse"
    assert styles["wants b"] == "bright_blue"
    assert styles["wants a for write"] == "yellow"
    assert styles["blocks in mutex_lock(&b)"] == "red"
    assert styles["waits for f() to release a"] == "white on red"


def test_up_to_a_row() -> None:
    text = plain(drawn(layout(CIRCLE), 66, until=1))
    assert "takes b" in text
    assert "takes c" not in text
    assert "waits for" not in text


def test_where_lanes_do_not_fit_there_is_no_picture() -> None:
    assert drawn(layout(long(5, 12)), 80) == []
    assert all(len(line.plain) <= 100 for line in drawn(layout(long(5, 40)), 100))


def test_without_unicode_it_is_plain_text() -> None:
    lines = [*drawn(layout(CIRCLE), 66, unicode=False), circle(layout(CIRCLE), unicode=False)]
    assert plain(lines).isascii()
    assert lines[-1].plain == "f() -> g() -> f()"


def test_explain_shows_it(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    kept(tree=str(repository))
    assert run(["explain", "5c1f0a2e"]) == 0
    out = capsys.readouterr().out
    assert "┃ takes &f->lock" in out
    assert "waits for foo_end_io() to release" in out
    assert "\x1b" not in out


def test_svg_is_all_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    kept()
    assert run(["explain", "5c1f0a2e", "--svg"]) == 0
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert "takes &f->lock" in "".join(root.itertext())
    assert run(["explain", "--svg"]) == 2
    assert "name its ID" in capsys.readouterr().err


def test_stepping_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    kept()
    assert run(["explain", "5c1f0a2e", "--step"]) == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_keys_go_through_it(repository: Path) -> None:
    kept(tree=str(repository))
    screen, keyboard = pty.openpty()
    command = [sys.executable, "-c", "from reviewbot.cli import main; main()", "explain", "5c1f0a2e", "--step"]
    environment = {**os.environ, "COLUMNS": "100", "LINES": "50", "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(command, stdin=keyboard, stdout=keyboard, stderr=keyboard, env=environment)
    os.close(keyboard)
    try:
        seen = until(screen, "1 of 4")
        assert "takes &f->lock" in seen
        assert "deadlock" not in seen
        os.write(screen, b" ")
        until(screen, "2 of 4")
        os.write(screen, b"b")
        until(screen, "1 of 4")
        for number in range(2, 5):
            os.write(screen, b" ")
            assert "mutex_lock" in until(screen, f"{number} of 4")
        os.write(screen, b" ")
        until(screen, "deadlock")
        os.write(screen, b"q")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def until(screen: int, wanted: str) -> str:
    """What comes to the screen until a text is there."""
    seen = ""
    end = time.monotonic() + 30
    while wanted not in seen:
        ready, _, _ = select.select([screen], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"no {wanted!r} in {seen[-400:]!r}"
        seen += os.read(screen, 65536).decode("utf-8", "replace")
    return seen
