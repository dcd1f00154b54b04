"""A text is attached to a draft, once, and the draft stays what it is."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from reviewbot.drafts.attach import attach
from reviewbot.drafts.deliver import as_bytes
from reviewbot.types import Reply, ReviewError

REPLY = Reply(
    (("From", "A <a@example.org>"), ("Subject", "Re: [PATCH] x"), ("In-Reply-To", "<1@example.org>")),
    "This can deadlock.\n\nZoë's lock → mine.\n",
)


def test_it_is_there_once_however_often_it_is_attached(tmp_path: Path) -> None:
    draft = tmp_path / "draft.eml"
    draft.write_bytes(as_bytes(REPLY))
    attach(draft, "real-kernel.txt", "1 of 5 runs hung\n")
    attach(draft, "real-kernel.txt", "5 of 5 runs hung\n")
    message = message_from_bytes(draft.read_bytes(), policy=default)
    assert message["In-Reply-To"] == "<1@example.org>"
    body, report = list(message.iter_parts())  # type: ignore[attr-defined]
    assert body.get_content() == REPLY.body
    assert report.get_filename() == "real-kernel.txt"
    assert report.get_content() == "5 of 5 runs hung\n"
    assert list(tmp_path.iterdir()) == [draft]


@pytest.mark.parametrize("content", [b"", b"no mail at all\n", b"Subject: x\n\nno id\n"])
def test_what_is_no_draft_is_left_alone(tmp_path: Path, content: bytes) -> None:
    draft = tmp_path / "draft.eml"
    draft.write_bytes(content)
    with pytest.raises(ReviewError, match="is no draft"):
        attach(draft, "a.txt", "text")
    assert draft.read_bytes() == content
    with pytest.raises(ReviewError, match="cannot read the draft"):
        attach(tmp_path / "none.eml", "a.txt", "text")
