"""Asking an archive: what it answers, or what answers in its place, is a thread or one of three plain errors."""

from __future__ import annotations

import gzip

import lore_mails as m
import pytest
import requests
import responses

from reviewbot.mail.http import search, thread, unpack
from reviewbot.mail.protocol import MailLimits, Outage, UnknownMessage
from reviewbot.types import Unreviewed

INBOX = "https://archive.example/all"
ID = "a/b+c@dev.example"
URL = f"{INBOX}/a%2Fb%2Bc%40dev.example/t.mbox.gz"


def ask(limits: MailLimits | None = None) -> bytes:
    return thread(ID, INBOX, limits or MailLimits())


@responses.activate
def test_a_thread_is_one_request() -> None:
    mails = [m.patch("PATCH", id=ID), m.reply("r@rev.example", [ID], "From here on\n>From there on")]
    responses.get(URL, body=m.packed(mails), content_type="application/gzip")
    assert ask() == m.mbox(mails)
    assert len(responses.calls) == 1
    assert responses.calls[0].request.headers["User-Agent"] == "reviewbot"


@responses.activate
@pytest.mark.parametrize("status", [300, 404, 410])
def test_an_unknown_id(status: int) -> None:
    responses.get(URL, status=status, body="<html>no</html>")
    with pytest.raises(
        UnknownMessage, match=r"^<a/b\+c@dev.example> is not known at archive.example/all: check the id"
    ):
        ask()


@responses.activate
@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"body": requests.ConnectionError("Failed: [Errno 111] Connection refused')")}, r"\(connection refused\)"),
        ({"body": requests.ConnectTimeout("x")}, r"\(no answer in time\)"),
        ({"body": requests.exceptions.SSLError("x")}, r"\(its certificate is not trusted\)"),
        ({"body": requests.exceptions.ChunkedEncodingError("x")}, r"\(chunked encoding error\)"),
        ({"status": 503, "body": "<html>"}, "answers 503"),
        ({"status": 429}, "answers 429"),
        ({"status": 403}, "answers 403"),
        ({"body": "<!doctype html><p>Making sure you are not a bot", "content_type": "text/html"}, "a web page"),
        ({"body": m.packed([m.patch("PATCH")])[:-9]}, "damaged answer"),
        ({"body": b"\x1f\x8b\x08" + b"\xff" * 50}, "damaged answer"),
        ({"status": 302, "headers": {"Location": "http://169.254.169.254/latest"}}, "answers 302"),
    ],
)
def test_an_outage(answer: dict[str, object], line: str) -> None:
    responses.get(URL, **answer)  # type: ignore[arg-type]
    with pytest.raises(Outage, match=rf"archive\.example/all .*{line}.*: try again later") as caught:
        ask()
    assert "\n" not in str(caught.value)


@responses.activate
def test_an_empty_answer_is_an_unknown_id() -> None:
    responses.get(URL, body=gzip.compress(b"\n"))
    with pytest.raises(UnknownMessage):
        ask()


@responses.activate
def test_redirects_stay_on_the_host() -> None:
    responses.get(URL, status=301, headers={"Location": "/list/x/t.mbox.gz"})
    responses.get("https://archive.example/list/x/t.mbox.gz", body=m.packed([m.patch("PATCH", id=ID)]))
    assert ask().startswith(b"From mboxrd@z")


@responses.activate
def test_a_small_answer_that_unpacks_to_a_large_one() -> None:
    bomb = gzip.compress(b"x" * (80 << 20))
    assert len(bomb) < 100_000
    responses.get(URL, body=bomb)
    with pytest.raises(Unreviewed, match=r"unpacks to more than 64 MB"):
        ask()


@responses.activate
def test_a_large_answer_is_not_read_to_its_end() -> None:
    responses.get(URL, body=m.GZIP + b"\0" * 5000)
    with pytest.raises(Unreviewed, match="larger than"):
        ask(MailLimits(download=4096))


def test_unpacking() -> None:
    two = gzip.compress(b"one") + gzip.compress(b"two")
    assert unpack(two, "x", 6) == b"onetwo"
    with pytest.raises(Unreviewed, match=r"^x unpacks"):
        unpack(two, "x", 5)
    with pytest.raises(EOFError):
        unpack(two[:-1], "x", 100)


@responses.activate
def test_searching() -> None:
    found = [m.patch("PATCH 2/2", id=ID)]
    responses.post(f"{INBOX}/?x=m&t=1&q=f%3Aa%40b.example%20d%3A20260101..20260103", body=m.packed(found))
    assert search("f:a@b.example d:20260101..20260103", INBOX, MailLimits()) == m.mbox(found)
    responses.post(f"{INBOX}/?x=m&t=1&q=none", status=404)
    assert search("none", INBOX, MailLimits()) == b""
    responses.post(f"{INBOX}/?x=m&t=1&q=down", status=502)
    with pytest.raises(Outage, match="answers 502"):
        search("down", INBOX, MailLimits())
