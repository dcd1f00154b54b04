"""A configuration is right as a whole, or one line says what is wrong with which key."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.types import ReviewError
from reviewbot.watch import config


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[[list]]\nname = "x"', "list[1]: list `x` needs either `url` or `imap`"),
        ('[[list]]\nname = "x"\nurl = "https://h/x"\nurll = 1', "list[1]: no such key: `urll`"),
        ('[[list]]\nname = "x"\nurl = "gopher://h/x"', "list[1]: `url` of list `x` is no http"),
        ('[[list]]\nname = "x y"\nurl = "https://h/x"', "list[1].name: "),
        ('[[list]]\nname = "../x"\nurl = "https://h/x"', "list[1].name: "),
        (
            '[[list]]\nname = "a"\nurl = "https://h/x"\n[[list]]\nname = "a"\nurl = "https://h/y"',
            "two lists are called `a`",
        ),
        ('[[tree]]\nbranch = "x"', "tree[1]: the key `path` is missing"),
        ('[[tree]]\npath = "x"\nmaintainer = "x"', "tree[1]: `maintainer` is no mail address"),
        ('[drafts]\nmaintainer = "A\\u0007 <a@b.example>"', "drafts: `maintainer` is no mail address"),
        ('[drafts]\nof = ["all"]', "drafts: `of` knows nack, fix and ack, not all"),
        ('[drafts]\ndeliver = "x.eml"', "drafts: `deliver` is a Maildir folder"),
        ("[limits]\ntries = 0", "limits.tries: "),
        ('[follow]\nseconds = "x"', "follow.seconds: "),
        ("lists = []", "no such key: `lists`"),
        ("state = 3", "state: "),
        ("x = ", "is no TOML"),
    ],
)
def test_a_complaint_is_one_line_with_the_key(toml: str, said: str) -> None:
    with pytest.raises(ReviewError) as caught:
        config.parse(toml, "config.toml")
    assert str(caught.value).startswith("config.toml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_configuration_has_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = config.parse("")
    assert empty.database_url().startswith("sqlite:////")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/reviewbot")
    assert empty.folder() == Path("/var/lib/reviewbot")
    assert config.parse('state = "~/x"').folder() == Path.home() / "x"


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWBOT_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ReviewError, match="no configuration at"):
        config.load()
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(ReviewError, match="cannot read"):
        config.load(tmp_path / "bad.toml")


@given(st.text(max_size=100))
def test_any_text_is_a_configuration_or_a_complaint(toml: str) -> None:
    with suppress(ReviewError):
        config.parse(toml)
