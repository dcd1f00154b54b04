"""Who signed a mail, by DKIM (RFC 6376) and patatt: one line for the maintainer. Nothing is ever decided by it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import dkim  # type: ignore[import-untyped]
import patatt
from dkim.dnsplug import get_txt  # type: ignore[import-untyped]

from reviewbot.text import clean

MOST = 5
"""Signatures that are looked at."""
PATIENCE = 5
"""Seconds for one look-up of a key."""

LookUp = Callable[..., bytes | None]
"""(name, timeout) -> the TXT record of that name in the DNS, None without one."""


def attest(raw: bytes, look_up: LookUp = get_txt, keyring: Path | None = None) -> str:
    """One line on the signatures of a raw mail: `DKIM: good for example.org; patatt: no key for ann@dev.example`.

    `keyring` is a patatt folder of public keys (default: the user's). Never raises.
    """
    said = []
    checks: dict[str, Callable[[], list[str]]] = {
        "DKIM": lambda: _dkim(raw, look_up),
        "patatt": lambda: _patatt(raw, keyring),
    }
    for name, check in checks.items():
        try:
            found = check()
        except Exception as error:  # of a stranger's mail, whatever it is
            found = [f"cannot be checked ({type(error).__name__})"]
        said.append(f"{name}: {', '.join(dict.fromkeys(found)) or 'no signature'}")
    return clean("; ".join(said))


def _dkim(raw: bytes, look_up: LookUp) -> list[str]:
    quiet = logging.getLogger("reviewbot.dkim")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    message = dkim.DKIM(raw, logger=quiet, minkey=1024, timeout=PATIENCE)
    signed = [value for name, value in message.headers if name.lower() == b"dkim-signature"][:MOST]
    found = []
    for index, value in enumerate(signed):
        domain = "?"
        with suppress(dkim.InvalidTagValueList, KeyError):
            domain = dkim.parse_tag_value(value)[b"d"].decode("ascii", "replace")
        try:
            good = message.verify(idx=index, dnsfunc=look_up)
        except dkim.DKIMException as error:
            found.append(f"bad for {domain} ({error})")
        else:
            found.append(f"good for {domain}" if good else f"bad for {domain}")
    return found


def _patatt(raw: bytes, keyring: Path | None) -> list[str]:
    if b"developer-signature" not in raw[: 64 << 10].lower():
        return []
    message = patatt.PatattMessage(raw)
    kinds = {signature.get_field_as_str("a") or "" for signature in message.get_sigs()}
    foreign = sorted(kind for kind in kinds if not kind.startswith("ed25519"))
    if foreign:  # would start gpg or ssh-keygen on a stranger's word
        return [f"signed by {kind}, not checked" for kind in foreign]
    if keyring is None:
        from platformdirs import user_data_path

        keyring = user_data_path("patatt") / "public"
    words = {
        patatt.RES_VALID: "good for",
        patatt.RES_BADSIG: "bad for",
        patatt.RES_NOKEY: "no key for",
    }
    checked = patatt.validate_message(raw, [str(keyring)])
    return [f"{words.get(code, 'cannot be checked for')} {who}" for code, who, *_ in checked[:MOST]]
