"""What of a file's text is kept to tell, when another state of a file comes, which functions have to be looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from zlib import crc32

import msgspec

from reviewbot.csource.ir import TranslationUnit, by_name
from reviewbot.types import Source

WORD = re.compile(rb"[A-Za-z_]\w*")


class TextDigest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The text of one state of a file, kept to compare it with another state."""

    functions: dict[str, int] = {}
    """A hash of the text of each function, by name: what is not there may have changed."""
    includes: tuple[str, ...] = ()
    words: bytes | None = None
    """Hashes of all its words, four bytes each; None where they are not known."""

    def may_have(self, words: Iterable[bytes]) -> bool:
        """False when the file has none of some words; True may be wrong."""
        found = self.words
        return found is None or any(_hash(word) in found for word in words)


def texts(source: Source, units: Mapping[str, TranslationUnit]) -> dict[str, TextDigest]:
    """The texts of some files, path -> text."""
    found: dict[str, TextDigest] = {}
    for path, content in source.read_many(units).items():
        lines, unit = content.split(b"\n"), units[path]
        functions = {
            name: int.from_bytes(blake2b(b"\n".join(lines[f.line - 1 : f.end]), digest_size=8).digest())
            for name, f in by_name(unit).items()
        }
        found[path] = TextDigest(functions, unit.includes, b"".join(map(_hash, set(WORD.findall(content)))))
    return found


def _hash(word: bytes) -> bytes:
    return crc32(word).to_bytes(4)
