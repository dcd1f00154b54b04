"""Packed mails, unpacked within bounds."""

from __future__ import annotations

import zlib

from reviewbot.types import Unreviewed

GZIP = b"\x1f\x8b"
"""What a packed file begins with."""


def unpack(packed: bytes, what: str, most: int) -> bytes:
    """Gunzip, never to more than `most` bytes. Raises Unreviewed beyond that, zlib.error or EOFError for damage."""
    out: list[bytes] = []
    size = 0
    while packed:
        stream = zlib.decompressobj(wbits=31)
        out.append(stream.decompress(packed, most - size + 1))
        size += len(out[-1])
        if size > most:
            raise Unreviewed(f"{what} unpacks to more than {most >> 20} MB: nothing of that size is reviewed")
        if not stream.eof:
            raise EOFError
        packed = stream.unused_data.lstrip(b"\0")
    return b"".join(out)
