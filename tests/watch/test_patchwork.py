"""Checks on a Patchwork: what each patch gets, how the server is asked, what goes wrong, and that the token is not told."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import checking
import msgspec
import pytest
import requests
import responses
from responses.matchers import header_matcher, json_params_matcher, query_param_matcher

from reviewbot import cli
from reviewbot.types import (
    Address,
    Decision,
    Finding,
    Mail,
    Outcome,
    Patch,
    Place,
    Review,
    ReviewError,
    Series,
    Verdict,
)
from reviewbot.watch import config
from reviewbot.watch.patchwork import DAY, TOKEN, Outbox, PatchworkCheck, PatchworkClient, checks, post, token

SERVER = "https://patchwork.example.org"
PATCHES = f"{SERVER}/api/patches/"
SECRET = "5ecre7" * 6
NAMES = ("one@dev.example", "two@dev.example", "three@dev.example")


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)


def settings(**other: str) -> config.Patchwork:
    return config.Patchwork(**({"url": SERVER} | other))


def verdict(outcome: Outcome, patch: int) -> Verdict:
    return Verdict(Finding("lock-order", Place("a.c", 7), "f() takes b under a", patch=patch), outcome)


def review(*verdicts: Verdict, decision: Decision = Decision.NACK) -> Review:
    author = Address("A", "a@dev.example")
    patches = tuple(Patch(Mail(name, f"[PATCH {n}/3] x", author, ""), b"", n) for n, name in enumerate(NAMES, 1))
    return Review(Series(patches, expected=3), decision, verdicts=verdicts)


MIXED = review(verdict(Outcome.INCONCLUSIVE, 1), verdict(Outcome.CONFIRMED, 3), verdict(Outcome.PRE_EXISTING, 2))


def known(name: str, number: int, **other: Any) -> None:
    """The server has a patch, and takes a check for it."""
    answer = [{"id": number, "msgid": f"<{name}>", "name": "x"}]
    responses.get(PATCHES, json=answer, match=[query_param_matcher({"msgid": name} | other)])
    responses.post(f"{PATCHES}{number}/checks/", json={"id": 1}, status=201)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_each_patch_gets_what_was_found_in_it() -> None:
    assert checks(MIXED) == (
        PatchworkCheck(NAMES[0], "warning", "1 suspicion that could not be replayed"),
        PatchworkCheck(NAMES[1], "success", "no deadlock found"),
        PatchworkCheck(NAMES[2], "fail", "can deadlock: f() takes b under a"),
    )


def test_nothing_is_said_of_what_was_not_reviewed() -> None:
    assert checks(review(decision=Decision.UNREVIEWED)) == ()


@responses.activate
def test_the_requests() -> None:
    for number, name in enumerate(NAMES, 40):
        known(name, number)
    assert post(MIXED, settings()) == 3
    asked = [(c.request.method, str(c.request.url).partition("?")[0]) for c in responses.calls]
    assert asked == [
        (method, f"{PATCHES}{path}")
        for number in (40, 41, 42)
        for method, path in (("GET", ""), ("POST", f"{number}/checks/"))
    ]
    for call in responses.calls:
        assert call.request.headers["Authorization"] == f"Token {SECRET}"
    body = json.loads(responses.calls[5].request.body or "")
    assert body == {"state": "fail", "context": "reviewbot", "description": "can deadlock: f() takes b under a"}


@responses.activate
def test_project_context_and_where_it_leads() -> None:
    known(NAMES[0], 40, project="dm-devel")
    responses.replace(
        responses.POST,
        f"{PATCHES}40/checks/",
        status=201,
        json={},
        match=[
            json_params_matcher(
                {
                    "state": "success",
                    "context": "deadlocks",
                    "description": "x",
                    "target_url": f"https://lore.example/r/{NAMES[0]}",
                }
            ),
            header_matcher({"Content-Type": "application/json"}),
        ],
    )
    told = settings(url=f"{SERVER}/", project="dm-devel", context="deadlocks", target_url="https://lore.example/r/{id}")
    assert PatchworkClient(told).make(PatchworkCheck(NAMES[0], "success", "x")) == 1


@responses.activate
def test_a_patch_of_two_projects_gets_two_checks_and_a_foreign_one_none() -> None:
    ids = [{"id": n, "msgid": f"<{name}>"} for n, name in ((1, NAMES[0]), (2, NAMES[0]), (3, NAMES[1]))]
    responses.get(PATCHES, json=ids)  # as a server that knows no `msgid` would answer, with whatever it has
    for number in (1, 2):
        responses.post(f"{PATCHES}{number}/checks/", json={}, status=201)
    assert PatchworkClient(settings()).make(PatchworkCheck(NAMES[0], "success", "x")) == 2


def test_netrc_does_not_sign_in_place_of_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine patchwork.example.org login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with responses.RequestsMock() as mock:
        mock.get(PATCHES, json=[], match=[header_matcher({"Authorization": f"Token {SECRET}"})])
        with pytest.raises(ReviewError, match=r"has no patch <one@dev\.example>"):
            PatchworkClient(settings()).make(PatchworkCheck(NAMES[0], "success", "x"))


# --- what goes wrong -------------------------------------------------------------------------------------------------


@responses.activate
@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"json": []}, r"has no patch <one@dev.example>: is the list one of its projects\?"),
        ({"json": {"detail": "no"}, "status": 403}, "answers 403: the token is not known there"),
        ({"json": {}, "status": 500}, "answers 500"),
        ({"status": 301, "headers": {"Location": "https://evil.example/"}}, "answers 301: give the address that it"),
        ({"body": "<html>"}, "answers something else than patches"),
        ({"json": {"detail": 1}}, "answers something else than patches"),
        ({"body": requests.ConnectTimeout(SECRET)}, r"cannot be reached \(no answer in time\)"),
        ({"body": requests.ConnectionError(SECRET)}, r"cannot be reached \(ConnectionError\)"),
    ],
)
def test_answers_that_are_none(answer: dict[str, Any], line: str) -> None:
    responses.get(PATCHES, **answer)
    with pytest.raises(ReviewError, match=rf"^Patchwork at patchwork.example.org {line}") as caught:
        post(MIXED, settings())
    assert SECRET not in str(caught.value)
    assert len(responses.calls) == 1


def test_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("0ther\n")
    assert token(settings(token_file=str(file))) == SECRET
    monkeypatch.delenv(TOKEN)
    assert token(settings(token_file=str(file))) == "0ther"
    with pytest.raises(ReviewError, match=rf"^the Patchwork token is not there: put it into {TOKEN}"):
        token(settings())
    with pytest.raises(ReviewError, match=r"^cannot read the token in .*/none: No such file"):
        token(settings(token_file=str(tmp_path / "none")))
    file.write_text("two words-of-secret\n")
    with pytest.raises(ReviewError, match="is no token") as caught:
        token(settings(token_file=str(file)))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["patchwork.example.org", "http://patchwork.example.org", "ftp://x"])
def test_a_token_goes_out_in_clear_to_nobody(url: str) -> None:
    with pytest.raises(ReviewError, match=r"patchwork: `url` is no https:// address"):
        config.parse(f'[patchwork]\nurl = "{url}"\n')
    assert config.parse('[patchwork]\nurl = "http://127.0.0.1:8000"\n').patchwork.url


# --- the watcher's -----------------------------------------------------------------------------------------------


def outbox(tmp_path: Path, **other: str) -> Outbox:
    return Outbox(config.Config(state=str(tmp_path / "state"), patchwork=settings(**other)))


def test_off_nothing_is_kept_or_asked(tmp_path: Path) -> None:
    box = outbox(tmp_path, url="")
    box.put("k", MIXED)
    assert (box.waiting(), box.deliver()) == ([], [])
    assert not (tmp_path / "state").exists()
    with pytest.raises(ReviewError, match="no Patchwork is configured"):
        post(MIXED, settings(url=""))


@responses.activate
def test_what_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put("k", MIXED)
    responses.get(PATCHES, status=503)
    assert box.deliver() == ["checks of k: Patchwork at patchwork.example.org answers 503"]
    responses.reset()
    for number, name in enumerate(NAMES, 40):
        known(name, number)
    assert (box.deliver(), box.waiting()) == ([], [])
    assert sum(c.request.method == "POST" for c in responses.calls) == 3
    assert SECRET not in "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())


@responses.activate
def test_after_a_day_it_is_given_up(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put("k", MIXED)
    [file] = box.waiting()
    then = file.stat().st_mtime - DAY - 1
    os.utime(file, (then, then))
    responses.get(PATCHES, json=[])
    [line] = box.deliver()
    assert line.startswith("checks of k are given up: Patchwork at patchwork.example.org has no patch <one@")
    assert box.waiting() == []


# --- check --patchwork -----------------------------------------------------------------------------------------------


@responses.activate
def test_check_makes_checks_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = checking.case("wq-mem-reclaim/lost-flag")
    tree = checking.case_repository(tmp_path / "tree", case)
    (tmp_path / "one.eml").write_text(case.patch)
    (tmp_path / "config.toml").write_text(f'[patchwork]\nurl = "{SERVER}"\n')
    monkeypatch.setenv("REVIEWBOT_CONFIG", str(tmp_path / "config.toml"))
    known("wq-mem-reclaim.lost-flag@example.org", 7)
    command = ["check", str(tmp_path / "one.eml"), "--tree", str(tree), "--terse"]
    assert cli.run(command) == 1
    assert (len(responses.calls), capsys.readouterr().err) == (0, "")
    assert cli.run([*command, "--patchwork"]) == 1
    assert capsys.readouterr().err == "patchwork: 1 check made\n"
    body = json.loads(responses.calls[1].request.body or "")
    assert body["state"] == "fail"
    assert re.match(r"can deadlock: \S", body["description"])


def test_reviews_travel_as_json() -> None:
    made = checks(MIXED)
    assert msgspec.json.decode(msgspec.json.encode(made), type=tuple[PatchworkCheck, ...]) == made
