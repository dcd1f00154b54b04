"""`reviewbot facts` of a case: what a rule sees of it, without a kernel tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewbot import cli

CASE = """A lock is put around a wait.

Origin: made by hand
Uses:   drivers/misc/latch.h

-- drivers/misc/latch.c --
#include "latch.h"

void latch_wait(struct latch *l)
{
\twait_for_completion(&l->shut);
}
-- patch --
From: A Developer <developer@example.org>
Subject: [PATCH] latch: one at a time

--- a/drivers/misc/latch.c
+++ b/drivers/misc/latch.c
@@ -4,3 +4,5 @@
 {
+\tmutex_lock(&l->lock);
 \twait_for_completion(&l->shut);
#~ ok flush-under-lock
+\tmutex_unlock(&l->lock);
 }
"""
HEADER = "struct latch {\n\tstruct mutex lock;\n\tstruct completion shut;\n};\n"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case in a corpus of its own, with a file that it uses."""
    for path, text in {"some-rule/first.case": CASE, "files/drivers/misc/latch.h": HEADER}.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    return tmp_path / "some-rule/first.case"


def test_a_case_shows_both_sides(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["facts", str(case), "--kind", "Lock", "--kind", "Wait"]) == 0
    rows = [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()]
    assert rows == [
        "drivers/misc/latch.c",
        "+ 5 latch_wait Lock acquire mutex latch.lock (mutex_lock)",
        "- 5 latch_wait Wait waits for completion latch.shut (wait_for_completion)",
        "+ 6 latch_wait Wait waits for completion latch.shut (wait_for_completion) holding latch.lock",
        "3 facts",
    ]


def test_a_case_that_is_none_is_one_line(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case.write_text("no sections\n")
    assert cli.run(["facts", str(case)]) == 2
    assert capsys.readouterr().err == "reviewbot: case first has no section `-- patch --`: see corpus/README.md\n"
