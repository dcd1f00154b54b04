"""Text of strangers made safe to show, and the header fields of their mails taken apart."""

from __future__ import annotations

import contextlib
import email.charset
import email.errors
import email.header
import email.utils
import re
import unicodedata
from collections.abc import Iterable

from reviewbot.limits import MAX_HEADER_ADDRESSES, MAX_HEADER_WORDS

_PLAIN = re.compile(r"[ -~]*")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS = "\u00ad\u200c\u200d"  # soft hyphen and joiners are part of ordinary writing, and turn nothing around
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,30}")
_MESSAGE_ID = re.compile(r"<([!-;=?-~]{1,900})>")
_CHARSET = re.compile(
    r"(us-)?ascii|utf-?8|utf-?16(le|be)?|iso-?8859-?\d+(-[ei])?|latin-?\d+|(windows|cp)-?\d+|koi8-?[rut]|gb2312|gbk|gb18030"
    r"|big5(-?hkscs)?|euc-?(jp|kr|cn|tw)|ks_c_5601-1987|iso-2022-(jp|kr)(-\d)?|shift[_-]?jis|sjis|tis-620|mac-?roman",
    re.IGNORECASE,
)


def clean(text: str, *, keep_spaces: bool = False) -> str:
    """One line that is safe in a terminal, a header and a reply.

    Control, direction and other invisible characters are shown as `<U+001B>`. White space, line breaks included,
    becomes one blank between words and none at the ends; with `keep_spaces` blanks stay as they are, the rest is shown.
    """
    if not keep_spaces:
        text = re.sub(r"[ \t\r\n\xa0]+", " ", text).strip(" ")
    return _shown(text, "")


def clean_code(text: str) -> str:
    """A line of somebody's patch, without its end, that is safe to look at: as `clean`, but tabs and blanks stay."""
    return "\t".join(clean(part, keep_spaces=True) for part in text.rstrip("\r\n").split("\t"))


def clean_lines(text: str) -> str:
    """Text of several lines that is safe to show: as `clean`, but line ends (all as `\\n`), tabs and blanks stay."""
    return _shown(text.replace("\r\n", "\n"), "\n\t")


def _shown(text: str, keep: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        f"<U+{ord(c):04X}>" if unicodedata.category(c) in _HIDDEN and c not in keep and c not in _JOINERS else c
        for c in text
    )


def decode(raw: bytes, charset: str | None = None) -> str:
    """Bytes as text: by `charset` where mails are written in it, else as UTF-8, else as Latin-1. Never fails."""
    for name in (charset or "", "utf-8"):
        if _CHARSET.fullmatch(name):
            try:
                return raw.decode(name)
            except (LookupError, UnicodeError):
                continue
    return raw.decode("latin-1")


def unfold(value: str) -> str:
    """A header value as one line: line breaks before white space go (RFC 5322, 2.2.3), any other break is a blank.

    8-bit text, which the email package hands out as surrogates, is decoded.
    """
    value = re.sub(r"[\r\n]+[ \t]*", " ", value).strip()
    return value if value.isascii() else decode(value.encode("utf-8", "surrogateescape"))


def header_text(value: str) -> str:
    """A header value as a person reads it: unfolded, encoded words (RFC 2047) decoded, one clean line.

    A line break that hides in an encoded word is shown, not obeyed.
    """
    return clean(_shown(_words(unfold(value)[:MAX_HEADER_WORDS]).replace("\t", " "), ""))


def addresses(*values: str) -> tuple[tuple[str, str], ...]:
    """(name, address) of each mailbox in the values of From, To, Cc or Reply-To headers.

    Addresses are split before encoded words are decoded, so that `=?utf-8?q?x=2C_y=40z?=` stays inside a name. What is
    no plain address is left out, and so is a list of more than 64 kB from there on.
    """
    found = []
    for value in values:
        line = unfold(value)[:MAX_HEADER_ADDRESSES]
        try:
            pairs = email.utils.getaddresses([line])
        except RecursionError:  # a comment in a comment in a comment ...
            pairs = []
        found += [(header_text(name), address) for name, address in pairs if _ADDRESS.fullmatch(address)]
    return tuple(found)


def mailbox(name: str, address: str) -> str:
    """A mailbox as a header has it, `name <address>`: the name quoted, or as an encoded word where it is not ASCII.

    The same whatever else in the process has told the email package about UTF-8, as b4 does when it is imported.
    """
    charset = email.charset.Charset("utf-8")
    charset.header_encoding = email.charset.SHORTEST
    return email.utils.formataddr((name, address), charset)


def message_ids(value: str) -> tuple[str, ...]:
    """The ids between `<` and `>` in a Message-ID, In-Reply-To or References header, in order, each once."""
    return tuple(dict.fromkeys(_MESSAGE_ID.findall(value[:MAX_HEADER_ADDRESSES])))


def _words(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        parts = email.header.decode_header(value)
    except (email.errors.HeaderParseError, ValueError):
        return value
    return "".join(part if isinstance(part, str) else _word(part, charset) for part, charset in parts)


def _word(part: bytes, charset: str | None) -> str:
    if charset is None:  # what stands between encoded words; decode_header wrote it in this encoding
        with contextlib.suppress(UnicodeError):
            return part.decode("raw-unicode-escape")
    return decode(part, charset)


def ranges(numbers: Iterable[int]) -> str:
    """`patch 2`, `patches 1, 4-7`: at most five ranges."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans[:5]) + (" ..." if len(spans) > 5 else "")
    return f"{'patch' if len(spans) == 1 and spans[0][0] == spans[0][1] else 'patches'} {text}"
