"""Text of strangers: nothing that moves a cursor, turns text around or starts a new header survives."""

from __future__ import annotations

import email.charset
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.text import addresses, clean, clean_lines, decode, header_text, mailbox, message_ids


def visible(text: str) -> bool:
    return all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and not 0x202A <= ord(c) <= 0x202E for c in text)


@given(st.text())
def test_clean_is_one_visible_line_and_stays_so(text: str) -> None:
    assert visible(clean(text))
    assert clean(clean(text)) == clean(text)
    assert visible(clean(text, keep_spaces=True))


@given(st.text())
def test_clean_lines_keeps_lines_and_nothing_else_unseen(text: str) -> None:
    assert visible(clean_lines(text).replace("\n", "").replace("\t", ""))


def test_what_is_hidden_is_shown_by_its_number() -> None:
    assert clean("a\x1b[31mred\x07 \u202etxt\u2066 \x85") == "a<U+001B>[31mred<U+0007> <U+202E>txt<U+2066> <U+0085>"
    assert clean("  two \n\t words ") == "two words"
    assert clean("\tif (x)\r", keep_spaces=True) == "<U+0009>if (x)<U+000D>"
    assert clean("Zoë Müller, 張, soft\u00adhyphen") == "Zoë Müller, 張, soft\u00adhyphen"


def test_folding_goes_and_a_hidden_break_is_shown() -> None:
    assert header_text("[PATCH] dm:\r\n two lines") == "[PATCH] dm: two lines"
    assert header_text("=?utf-8?q?dm=0D=0ABcc:_a=40b.example?=") == "dm<U+000D><U+000A>Bcc: a@b.example"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?q?Zo=C3?= =?utf-8?q?=AB?=", "Zoë"),
        ("=?iso-8859-1?Q?caf=E9?=", "café"),
        ("=?no-such?q?x?=", "x"),
        ("=?rot13?q?uryyb?=", "uryyb"),
        ("=?utf-8?b?not base64?=", "=?utf-8?b?not base64?="),
        ("Жук =?utf-8?q?=C3=AB?= end", "Жук ë end"),
        ("caf\udcc3\udca9", "café"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert header_text(value) == text


def test_an_encoded_comma_makes_no_second_recipient() -> None:
    assert addresses("=?utf-8?q?x=2C_v=40x=2Eexample=2C_=3Cw=40x=3E?= <ann@dev.example>, b@c.example") == (
        ("x, v@x.example, <w@x>", "ann@dev.example"),
        ("", "b@c.example"),
    )
    assert addresses("Evil <a b@c>", "nobody", '"A, B" <a@b.example>') == (("A, B", "a@b.example"),)


@given(st.text(alphabet='<>(),;:@"\\[]= ?ab\r\n\x1b', max_size=300))
def test_any_address_line_gives_plain_addresses(value: str) -> None:
    for name, address in addresses(value):
        assert visible(name)
        assert address.isascii()
        assert not set(address) & set(' \t\r\n<>,;:()"')


def test_long_and_deep_address_lists_end_soon() -> None:
    assert addresses("(" * 60_000) == ()
    assert len(addresses(", ".join(f"a{n}@b.example" for n in range(20_000)))) > 1000


def test_ids() -> None:
    assert message_ids("<a@b> (x) <c$d/e@f>\n <a@b>") == ("a@b", "c$d/e@f")
    assert message_ids("a@b <c d@e> <>") == ()


@given(st.binary(), st.sampled_from(["utf-8", "punycode", "zlib", "utf-7", "us-ascii", "big5", "x" * 100, "", None]))
def test_bytes_always_become_text(raw: bytes, charset: str | None) -> None:
    assert isinstance(decode(raw, charset), str)


@pytest.mark.parametrize("header_encoding", [None, email.charset.SHORTEST])
def test_a_mailbox_is_the_same_whatever_the_process_does_with_utf8(
    header_encoding: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(email.charset.CHARSETS, "utf-8", (header_encoding, None, None))
    assert mailbox("Zoë, <v@x.example>", "zoe@dev.example").isascii()
    assert addresses(mailbox("Zoë, Bcc: v@x.example", "z@x.example")) == (("Zoë, Bcc: v@x.example", "z@x.example"),)
    assert mailbox("A, B", "a@b.example") == '"A, B" <a@b.example>'
    assert mailbox("", "a@b.example") == "a@b.example"
