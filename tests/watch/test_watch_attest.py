"""Signatures are shown, whatever they are."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inbox import patch

from reviewbot.watch.attest import attest


def test_signatures_are_shown() -> None:
    import dkim

    key = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=False).stdout
    if not key:
        pytest.skip("no openssl")
    public = subprocess.run(
        ["openssl", "rsa", "-pubout", "-outform", "DER"], input=key, capture_output=True, check=True
    ).stdout
    raw = patch("a@dev.example", "dm x: fix").replace(b"\n", b"\r\n")
    signed = dkim.sign(raw, b"sel", b"dev.example", key) + raw
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    def look_up(name: bytes, timeout: float = 5) -> bytes | None:
        return record if name == b"sel._domainkey.dev.example." else None

    assert attest(signed, look_up) == "DKIM: good for dev.example; patatt: no signature"
    broken = signed.replace(b"Why.", b"Because.")
    assert attest(broken, look_up).startswith("DKIM: bad for dev.example")
    assert attest(raw, look_up) == "DKIM: no signature; patatt: no signature"
    assert "DKIM: bad" in attest(signed, lambda *_, **__: None)


def test_a_developers_signature_is_shown(tmp_path: Path) -> None:
    import patatt
    from nacl.encoding import Base64Encoder
    from nacl.signing import SigningKey

    key = SigningKey.generate()
    raw = patch("a@dev.example", "dm x: fix")
    settings = {"identity": "ann@dev.example", "signingkey": "ed25519:x", "selector": "s"}
    del settings
    message = patatt.PatattMessage(raw)
    message.sign("ed25519", key.encode(Base64Encoder), "ann@dev.example", "s")
    signed = message.as_bytes()
    assert attest(signed, lambda *_, **__: None, tmp_path).endswith("patatt: no key for ann@dev.example")
    folder = tmp_path / "ed25519/dev.example/ann"
    folder.mkdir(parents=True)
    (folder / "s").write_bytes(key.verify_key.encode(Base64Encoder))
    assert attest(signed, lambda *_, **__: None, tmp_path).endswith("patatt: good for ann@dev.example")
    broken = signed.replace(b"+good", b"+evil")
    assert attest(broken, lambda *_, **__: None, tmp_path).endswith("patatt: bad for ann@dev.example")


@given(st.binary(max_size=300))
def test_no_mail_breaks_the_look_at_its_signatures(raw: bytes) -> None:
    said = attest(b"DKIM-Signature: " + raw, lambda *_, **__: None)
    assert said.startswith("DKIM: ")
    assert "\n" not in said
