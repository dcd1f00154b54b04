"""Statements of some lines get a mark, and all else stays where it was."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import pytest

from reviewbot.csource.marks import marked

CODE = b"""\
#include <stdio.h>
static int count(int most)
{
	int i, sum = 0;

	for (i = 0; i < most; i++)
		sum += i;
	if (most > 100)
		return -1;
	else if (most > 50)
		sum = 50;
	do
		sum++;
	while (sum < 3);
	return sum;
}
int main(void)
{
	return count(4) == 7 ? 0 : 1;
}
"""


def mark(line: int) -> str:
    return f'puts("ran {line}");'


def test_a_body_without_braces_gets_them_and_no_line_moves() -> None:
    text, lines = marked(CODE, {7, 9, 11}, mark)
    assert lines == (7, 9, 11)
    rows = text.split(b"\n")
    assert len(rows) == len(CODE.split(b"\n"))
    assert rows[6] == b'\t\t{ puts("ran 7"); sum += i; }'
    assert rows[8] == b'\t\t{ puts("ran 9"); return -1; }'
    assert rows[5] == CODE.split(b"\n")[5]


def test_only_lines_where_a_statement_begins_get_a_mark() -> None:
    text, lines = marked(CODE, {1, 2, 3, 4, 5, 16}, mark)
    assert lines == ()
    assert text == CODE


def test_what_is_marked_still_does_what_it_did(tmp_path: Path) -> None:
    if not which("gcc"):
        pytest.skip("gcc is not installed")
    text, lines = marked(CODE, range(1, 30), mark)
    (tmp_path / "marked.c").write_bytes(text)
    subprocess.run(["gcc", "-o", tmp_path / "marked", tmp_path / "marked.c"], check=True)
    done = subprocess.run([tmp_path / "marked"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    ran = {int(line.split()[1]) for line in done.stdout.splitlines()}
    assert ran == {6, 7, 8, 12, 13, 15, 19}
    assert set(lines) - ran == {9, 11}


def test_code_that_cannot_be_read_gets_no_mark() -> None:
    broken = b"int f(void)\n{\n\tif (\n\treturn 1;\n}\n"
    assert marked(broken, {4}, mark) == (broken, ())
