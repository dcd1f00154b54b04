"""IMAP: logging in, and putting a draft into a folder without ever putting it there twice."""

from __future__ import annotations

import netrc
import os
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import msgspec
from imapclient import DRAFT, SEEN, IMAPClient
from imapclient.exceptions import IMAPClientError

from reviewbot.limits import MAX_IMAP_SECONDS
from reviewbot.types import ReviewError

PASSWORD = "REVIEWBOT_IMAP_PASSWORD"


class ImapPlace(msgspec.Struct, frozen=True):
    """An IMAP folder: `imaps://user@host:port/folder`, taken apart."""

    host: str
    port: int
    user: str
    folder: str
    tls: bool

    def __str__(self) -> str:
        return f"imap{'s' if self.tls else ''}://{self.user}@{self.host}:{self.port}/{self.folder}"


def parse(url: str, default_folder: str = "Drafts") -> ImapPlace:
    """Take an IMAP URL (RFC 5092) apart. ReviewError when it names no host or carries a password."""
    try:
        parts = urlsplit(url)
        tls = parts.scheme.lower() == "imaps"
        port = parts.port or (993 if tls else 143)
    except ValueError as error:
        raise ReviewError(f"not an IMAP address: {url}: {error}; write imaps://user@host/Folder") from error
    if parts.password is not None:
        raise ReviewError(
            f"no password in an address: put it into ~/.netrc or {PASSWORD}, and write imaps://user@host/Folder"
        )
    if not parts.hostname:
        raise ReviewError(f"no host in {url}; write imaps://user@host/Folder")
    folder = unquote(parts.path.lstrip("/")) or default_folder
    return ImapPlace(parts.hostname, port, unquote(parts.username or ""), folder, tls)


def connect(place: ImapPlace) -> IMAPClient:
    """Log in. The password is that of the environment (REVIEWBOT_IMAP_PASSWORD), else of ~/.netrc; never in the clear.

    ReviewError when the server is not there, lets nobody in, or offers no encryption and is not this machine.
    """
    try:
        client = IMAPClient(place.host, port=place.port, ssl=place.tls, timeout=MAX_IMAP_SECONDS)
        if not place.tls and client.has_capability("STARTTLS"):
            client.starttls()
        elif not place.tls and not _is_here(place.host):
            client.shutdown()
            raise ReviewError(f"{place.host} offers no encryption; use imaps://")
        user, password = _login(place)
        client.login(user, password)
    except (IMAPClientError, OSError) as error:
        raise ReviewError(f"no login at {place}: {error}") from error
    return client


def append(url: str, data: bytes, message_id: str) -> str:
    """Put a draft (a mail with LF line ends) into an IMAP folder, flagged as one; a mail of that id there stays.

    Returns where it lies. ReviewError when the server does not take it.
    """
    place = parse(url)
    client = connect(place)
    try:
        if not client.folder_exists(place.folder):
            client.create_folder(place.folder)
        client.select_folder(place.folder)
        if not client.search(["HEADER", "Message-ID", message_id.strip("<>")]):
            wire = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            client.append(place.folder, wire, (DRAFT, SEEN), datetime.now(UTC))
        return str(place)
    except (IMAPClientError, OSError) as error:
        raise ReviewError(f"{place} did not take the draft: {error}") from error
    finally:
        client.shutdown()


def _login(place: ImapPlace) -> tuple[str, str]:
    given = os.environ.get(PASSWORD)
    if given is not None and place.user:
        return place.user, given
    try:
        entry = netrc.netrc().authenticators(place.host)
    except (OSError, netrc.NetrcParseError):
        entry = None
    if entry and (not place.user or entry[0] == place.user):
        return entry[0], entry[2] or ""
    raise ReviewError(f"no password for {place}; put one into ~/.netrc or into {PASSWORD}")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
