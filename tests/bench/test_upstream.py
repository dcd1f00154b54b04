"""The public benchmark on a small repository: fixes by id and by subject, both ways, and what is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import checking
import pytest

from reviewbot import cli
from reviewbot.bench import upstream
from reviewbot.bench.upstream import UpstreamFix
from reviewbot.gittree.tree import Tree
from reviewbot.types import ReviewError

FLAG = "dm sieve: a rescuer for the queue"
TURN = "dm mill: turn (the other way)"


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of four commits: without the flag, with it, another file, and a commit that speaks of the flag."""
    [(path, text)] = checking.case("wq-mem-reclaim/lost-flag").files
    folder = checking.repository(
        tmp_path_factory.mktemp("linux") / "tree",
        {path: text.replace("WQ_MEM_RECLAIM | WQ_HIGHPRI", "WQ_HIGHPRI"), checking.FILE: checking.CODE},
    )
    for subject, file, content in (
        (FLAG, path, text),
        (TURN, checking.FILE, checking.CODE.replace("return 3;", "return 3 + 0;")),
        ("dm mill: after the sieve", checking.FILE, checking.CODE),
    ):
        (folder / file).write_text(content)
        checking.git(folder, "commit", "-q", "-a", "-m", f"{subject}\n\nAs in: {FLAG}")
    return folder


def index(folder: Path, *fixes: UpstreamFix) -> Path:
    file = folder / "fixes.jsonl"
    rows = [{"commit": f.commit, "subject": f.subject, "class": f.cls} for f in fixes]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_fix_is_scored_both_ways(linux: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flag = checking.git(linux, "rev-parse", "HEAD~2").strip()
    before = checking.listing(linux)
    fixes = index(tmp_path, UpstreamFix(FLAG, "rescuer", flag[:12]), UpstreamFix("dm sieve: not there", "rescuer"))
    argv = ["bench", "--linux", str(linux), "--index", str(fixes), "--workers", "1"]
    assert cli.run([*argv, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_bytes())
    assert {c["id"]: (c["label"], c["verdict"], c["rules"]) for c in found["cases"]} == {
        f"{flag[:12]} reverted": ("deadlock", "nack", ["wq-mem-reclaim"]),
        f"{flag[:12]} applied": ("fix", "ack", []),
    }
    assert (found["sets"][0]["recall"]["count"], found["sets"][0]["fixes"]) == (1, 1)
    assert found["missing"] == [{"commit": None, "subject": "dm sieve: not there"}]
    out = capsys.readouterr().out
    assert "2 fixes, of which" in out
    assert "not there: by its subject dm sieve: not there" in out
    assert checking.listing(linux) == before  # the user's clone is as it was


@pytest.mark.parametrize("commit", ["", "0123456789ab", "HEAD"])
def test_a_commit_without_its_id_or_with_a_wrong_one_is_found_by_its_subject(linux: Path, commit: str) -> None:
    with Tree.open(linux) as tree:
        cases, missing = upstream.find([UpstreamFix(TURN, "none", commit)], tree)
        assert missing == []
        assert [(c.labelled.label, tree.message(c.base).partition("\n")[0]) for c in cases] == [
            ("deadlock", TURN),
            ("fix", FLAG),
        ]
        assert [c.labelled.files for c in cases] == [(checking.FILE,)] * 2
        assert b"-\treturn 3 + 0;" in cases[0].diff
        assert b"+\treturn 3 + 0;" in cases[1].diff


def test_a_clone_that_has_no_parent_of_a_fix_lacks_it(linux: Path) -> None:
    with Tree.open(linux) as tree:
        cases, missing = upstream.find([UpstreamFix("start", "none")], tree)
    assert (cases, [fix.subject for fix in missing]) == ([], ["start"])


def test_a_shallow_clone_is_told_what_it_lacks(linux: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shallow = tmp_path / "shallow"
    checking.git(tmp_path, "clone", "-q", "--depth", "2", f"file://{linux}", str(shallow))
    fixes = index(tmp_path, UpstreamFix(FLAG, "rescuer"), UpstreamFix("dm mill: after the sieve", "none"))
    argv = ["bench", "--linux", str(shallow), "--index", str(fixes), "--workers", "1"]
    assert cli.run(argv) == 0
    assert f"{shallow} is a shallow clone: git fetch --unshallow" in capsys.readouterr().out
    assert cli.run([*argv, "--only", "sieve: a"]) == 2
    assert "has none of the 1 fixes: it is a shallow clone" in capsys.readouterr().err


def test_a_subject_that_lost_its_quotes_is_that_of_the_commit(linux: Path) -> None:
    commit = checking.git(linux, "rev-parse", "HEAD~1").strip()
    with Tree.open(linux) as tree:
        cases, missing = upstream.find([UpstreamFix("dm mill: 'turn' the other way", "none", commit)], tree)
        other = upstream.find([UpstreamFix("dm mill: turn", "none", commit)], tree)
    assert ([c.base for c in cases][:1], missing) == ([commit], [])
    assert other[0] == []


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--linux", "{folder}/none"], "none"),
        (["--linux", "{linux}"], "has none of the"),
        (["--linux", "{linux}", "--index", "{folder}/no.jsonl"], "cannot read the index"),
        (["--linux", "{linux}", "--index", "{folder}/bad.jsonl"], "bad.jsonl:1 is no fix of a deadlock"),
        (["--linux", "{linux}", "--only", "("], "--only ( is no regular expression"),
        (["--linux", "{linux}", "--json", "{folder}/no/out.json"], "there is no folder"),
    ],
)
def test_wrong_use(
    argv: Sequence[str], says: str, linux: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"subject": 3}\n')
    assert cli.run(["bench", *(word.format(folder=tmp_path, linux=linux) for word in argv)]) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert (out, err.count("\n")) == ("", 1)


def test_the_index_that_is_shipped_has_facts_and_no_text() -> None:
    fixes = upstream.read(upstream.shipped())
    assert len(fixes) > 100
    assert len({f.subject for f in fixes}) == len(fixes)
    for fix in fixes:
        assert fix.cls
        assert "\n" not in fix.subject
        assert not re.search(r"\b(dont|cant|wont|doesnt)\b", fix.subject), "an apostrophe was lost"
        assert fix.subject.count('"') % 2 == 0, "more or less than one subject"
        assert not fix.commit or (len(fix.commit) >= 12 and int(fix.commit, 16))
    with pytest.raises(ReviewError, match="cannot read"):
        upstream.read(Path("none.jsonl"))
