"""The site on loopback, with the one answer that a folder of files cannot give: `/api/patchset?id=MESSAGE-ID`."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from reviewbot.site.build import name
from reviewbot.types import ReviewError

HERE = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")
"""Whom a request may be meant for: a page elsewhere that points a name of its own at loopback is not answered."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of that folder on loopback that is yet to be started; port 0 takes a free one. ReviewError."""
    if not (folder / "index.html").is_file():
        raise ReviewError(f"no site in {folder}: `reviewbot site {folder}` makes one")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise ReviewError(f"cannot listen on 127.0.0.1:{port}: {error}: choose another --port") from error


class _Handler(SimpleHTTPRequestHandler):
    """Files of the folder, but for those that begin with a dot, and no listings."""

    server_version = "reviewbot"
    sys_version = ""

    def do_GET(self) -> None:
        """A file, or the answer for b4."""
        if self._refused():
            return
        asked = urlsplit(self.path)
        if asked.path == "/api/patchset":
            self._patchset(parse_qs(asked.query).get("id", [""])[0].strip("<> "))
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        """The headers of a file."""
        if not self._refused():
            super().do_HEAD()

    def _refused(self) -> bool:
        if not HERE.fullmatch(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif any(
            part.startswith(".") for part in Path(self.translate_path(self.path)).relative_to(self.directory).parts
        ):
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            return False
        return True

    def _patchset(self, message_id: str) -> None:
        folder = Path(self.directory)
        try:
            key = msgspec.json.decode((folder / "api/messages.json").read_bytes(), type=dict[str, str])[message_id]
            text = (folder / "series" / f"{name(key)}.json").read_bytes()
            answer = msgspec.json.encode(msgspec.json.decode(text, type=dict[str, Any])["patchset"])
        except (OSError, KeyError, msgspec.MsgspecError):
            self.send_error(HTTPStatus.NOT_FOUND, "no such message here")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def end_headers(self) -> None:
        """With what keeps a browser from guessing and from telling others."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """No listing: a folder without an index is not found."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who looks at a page is nobody's business."""
