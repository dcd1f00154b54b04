"""A review as checks of its patches on a Patchwork server. Off unless `[patchwork]` of the configuration names one."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import requests

from reviewbot.drafts import b4
from reviewbot.drafts import deliver as drafts
from reviewbot.types import Decision, Review, ReviewError, Value
from reviewbot.watch.config import Config, Patchwork

TOKEN = "REVIEWBOT_PATCHWORK_TOKEN"
STATES = {"pass": "success", "warn": "warning", "fail": "fail"}
TIMEOUT = (10, 30)
"""Seconds to connect, and to wait for an answer."""
DAY = 86400.0
"""For so long a check that could not be made is tried again."""


class PatchworkCheck(Value, frozen=True):
    """What one patch of a series is to get."""

    message_id: str
    state: str
    """`success`, `warning` or `fail`."""
    description: str


def checks(review: Review) -> tuple[PatchworkCheck, ...]:
    """A check for each patch; none for a series that was not reviewed, of which nothing can be said.

    A deadlock that was replayed fails the patch that brings it. Of a suspicion only the number is told: it is no claim.
    """
    if review.decision is Decision.UNREVIEWED:
        return ()
    said = [(p.mail.message_id, b4.checks(review, n)[0]) for n, p in enumerate(review.series.patches, 1)]
    return tuple(PatchworkCheck(message_id, STATES[one.status], one.summary) for message_id, one in said)


class PatchworkClient:
    """Makes checks on one server. Every error is a ReviewError of one line, which never has the token in it."""

    def __init__(self, settings: Patchwork) -> None:
        self.settings = settings
        self._token = token(settings)
        self._session = requests.Session()
        self._session.auth = self._signed  # as a function, for else a password of ~/.netrc would take its place
        self._session.headers["User-Agent"] = "reviewbot"

    def make(self, check: PatchworkCheck) -> int:
        """Make a check for each patch that the server has of that mail (one a project); returns how many."""
        found = self._ids(check.message_id)
        if not found:
            raise ReviewError(f"{self._name} has no patch <{check.message_id}>: is the list one of its projects?")
        body = {"state": check.state, "context": self.settings.context, "description": check.description}
        if self.settings.target_url:
            body["target_url"] = self.settings.target_url.replace("{id}", check.message_id)
        for number in found:
            self._asked("POST", f"patches/{number}/checks/", json=body)
        return len(found)

    def _ids(self, message_id: str) -> list[int]:
        query = {"msgid": message_id, **({"project": self.settings.project} if self.settings.project else {})}
        answer = self._asked("GET", "patches/", params=query)
        try:
            patches = msgspec.convert(answer, list[_Patch])
        except msgspec.ValidationError:
            raise ReviewError(f"{self._name} answers something else than patches: is its address right?") from None
        return [
            p.id for p in patches if p.msgid.strip("<>") == message_id
        ]  # an old server ignores what it is asked for

    def _asked(self, method: str, path: str, **what: Any) -> Any:
        url = f"{self.settings.url.rstrip('/')}/api/{path}"
        try:
            response = self._session.request(method, url, timeout=TIMEOUT, allow_redirects=False, **what)
            if response.ok and response.status_code < 300:
                return response.json()
        except requests.exceptions.JSONDecodeError:
            raise ReviewError(f"{self._name} answers something else than patches: is its address right?") from None
        except requests.RequestException as error:
            reason = "no answer in time" if isinstance(error, requests.Timeout) else type(error).__name__
            raise ReviewError(f"{self._name} cannot be reached ({reason})") from None
        raise ReviewError(f"{self._name} answers {response.status_code}{_hint(response.status_code)}")

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {self._token}"
        return request

    @property
    def _name(self) -> str:
        return f"Patchwork at {self.settings.url.partition('://')[2].rstrip('/')}"


class _Patch(msgspec.Struct):
    id: int
    msgid: str = ""


def _hint(status: int) -> str:
    if status in (401, 403):
        return ": the token is not known there, or its user may not make checks"
    return ": give the address that it redirects to" if 300 <= status < 400 else ""


def token(settings: Patchwork) -> str:
    """The API token: from the environment, else from the file that the configuration names. It is never shown."""
    found = os.environ.get(TOKEN, "").strip()
    if not found and settings.token_file:
        try:
            found = Path(settings.token_file).expanduser().read_text().strip()
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ReviewError(f"cannot read the token in {settings.token_file}: {reason}") from None
    if not re.fullmatch(r"[A-Za-z0-9._-]+", found):
        wrong = "is no token" if found else "is not there"
        raise ReviewError(f"the Patchwork token {wrong}: put it into {TOKEN}, or into the file `patchwork.token_file`")
    return found


def post(review: Review, settings: Patchwork) -> int:
    """Make all checks of a review now; returns how many were made. ReviewError for the first that fails."""
    if not settings.url:
        raise ReviewError("no Patchwork is configured: set `url` in [patchwork] of the configuration")
    client = PatchworkClient(settings)
    return sum(client.make(check) for check in checks(review))


class Outbox:
    """Checks of the watcher's reviews, kept as files until they were made."""

    def __init__(self, config: Config) -> None:
        self.settings = config.patchwork
        self.folder = config.folder() / "patchwork"

    def put(self, key: str, review: Review) -> None:
        """Keep the checks of the series `key`, unless Patchwork is off; whatever waits of that series is replaced."""
        if self.settings.url and (found := checks(review)):
            drafts.write(self.folder / f"{key}.json", msgspec.json.encode(found))

    def waiting(self) -> list[Path]:
        """Files of checks that are to be made."""
        return sorted(self.folder.glob("*.json")) if self.settings.url else []

    def deliver(self) -> list[str]:
        """Make what waits; returns a line for each series that failed. It is tried again, for a day."""
        faults = []
        for file in self.waiting():
            try:
                old = time.time() - file.stat().st_mtime > DAY
                self._make(file)
            except (ReviewError, OSError, msgspec.MsgspecError) as error:
                faults.append(f"checks of {file.stem}{' are given up' if old else ''}: {error}")
                if old:
                    file.unlink(missing_ok=True)
        return faults

    def _make(self, file: Path) -> None:
        client = PatchworkClient(self.settings)
        for check in msgspec.json.decode(file.read_bytes(), type=tuple[PatchworkCheck, ...]):
            client.make(check)
        file.unlink()
