"""The root file system of the guest: an archive in memory with the host's busybox and a few tools, and one driver.

It is the format that the kernel unpacks by itself (Documentation/driver-api/early-userspace/buffer-format.rst), with the
console as a device node, so that nobody has to be root to make it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from reviewbot.reproduce.sandbox import PATH
from reviewbot.types import ReviewError

FOLDERS = ("bin", "dev", "mnt", "proc", "run", "sys", "tmp", "etc", "var", "lib")
_FILE, _FOLDER, _DEVICE = 0o100755, 0o40755, 0o20600
_CONSOLE = (5, 1)


class _Archive:
    """A cpio archive of the format `newc`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._made: set[str] = set()

    def add(self, path: str, content: bytes, mode: int = _FILE, device: tuple[int, int] = (0, 0)) -> None:
        """A file, with the folders above it."""
        above = os.path.dirname(path)
        if above:
            self.folder(above)
        if path in self._made:
            return
        self._made.add(path)
        name = path.encode() + b"\0"
        fields = (len(self._parts) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self._parts += [_padded(head) + _padded(content)]

    def folder(self, path: str) -> None:
        """A folder, with those above it."""
        self.add(path, b"", _FOLDER)

    def whole(self) -> bytes:
        """The archive with its end."""
        self.add("TRAILER!!!", b"", 0)
        return b"".join(self._parts)


def needed(tools: Iterable[str]) -> list[str]:
    """Those of the programs that are not installed here, and busybox where it is not."""
    return [tool for tool in ("busybox", *tools) if not shutil.which(tool, path=PATH)]


def archive(tools: Iterable[str], texts: Mapping[str, bytes]) -> bytes:
    """The root file system with these programs of the host and the libraries that they load, and some files besides.

    Raises ReviewError for a program that is not installed.
    """
    made = _Archive()
    for folder in FOLDERS:
        made.folder(folder)
    made.add("dev/console", b"", _DEVICE, _CONSOLE)
    for tool in ("busybox", *tools):
        found = shutil.which(tool, path=PATH)
        if not found:
            raise ReviewError(f"cannot find the program {tool}, which the guest runs: install it")
        made.add(f"bin/{tool}", Path(found).read_bytes())
        for library in _libraries(found):
            made.add(library.lstrip("/"), Path(library).read_bytes())
    for path, content in texts.items():
        made.add(path, content)
    return made.whole()


def _libraries(program: str) -> list[str]:
    """Paths of the libraries that a program of the host loads; none for a static one."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [word for line in told.splitlines() for word in line.split() if word.startswith("/")]


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
