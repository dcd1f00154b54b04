"""Names that are the same in every run: of a series, of the mail drafted for one of its patches, of that draft's file.

Nothing here looks at a clock or at chance, so work that was cut off and done again lands on the same names.
"""

from __future__ import annotations

import hashlib
import re

from reviewbot.types import Finding, Series

LENGTH = 24
"""Hex digits of a series key: 96 bits."""
_OURS = re.compile(rf"^<?([0-9a-f]{{{LENGTH}}}-[0-9]{{1,4}})\.reviewbot@[^\s<>]+>?$")


def series_key(series: Series) -> str:
    """24 hex digits that stand for one version of a series: hash of author, lead message-id and version."""
    return key_of(series.lead.author.email, identity(series), series.version)


def identity(series: Series) -> str:
    """The message-id of the lead mail; for a series without one (diffs, commits of a tree) a hash of what it holds."""
    if series.lead.message_id:
        return series.lead.message_id
    parts = (part for p in series.patches for part in (p.mail.subject.encode("utf-8", "replace"), p.diff))
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def key_of(author: str, lead: str, version: int) -> str:
    """`series_key` from its three parts: address of the author, message-id of the lead mail, version."""
    return _hash(author.lower(), lead, str(version))[:LENGTH]


def message_id(key: str, patch_number: int, domain: str = "reviewbot.invalid") -> str:
    """Message-ID, in angle brackets, of the draft for patch `patch_number` (0: the cover letter) of a series."""
    return f"<{key}-{patch_number}.reviewbot@{domain}>"


def draft_name(mail_id: str) -> str:
    """File name, without suffix, of the draft with that Message-ID: its key and number, or a hash of a foreign id."""
    ours = _OURS.match(mail_id.strip())
    return ours[1] if ours else _hash(mail_id.strip().strip("<>"))[:LENGTH]


def is_ours(mail_id: str) -> bool:
    """True for a Message-ID that `message_id` made, whatever its domain."""
    return _OURS.match(mail_id.strip()) is not None


def finding_key(finding: Finding) -> str:
    """24 hex digits for what a finding is about: rule, object, function. Neither lines nor wording are part of it."""
    return _hash(finding.rule, finding.object or finding.at.file, finding.at.function)[:LENGTH]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
