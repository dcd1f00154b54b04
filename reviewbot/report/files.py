"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from reviewbot.types import ReviewError


def put(path: Path, data: bytes) -> None:
    """Write a file: it appears whole, or is what it was before. ReviewError when it cannot be written."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe or terminal, as /dev/stdout: nothing to put in its place
            return
        path = path.resolve()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), 0o666 & ~_umask())
                os.replace(file.name, path)
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ReviewError(
            f"cannot write {path}: {error.strerror or error}: name a file in a folder of yours"
        ) from error


def check_target(path: Path) -> None:
    """Raises ReviewError where a file cannot be written, before somebody waits long for what goes there."""
    folder = path.parent
    if path.is_dir():
        why = "it is a folder"
    elif not folder.is_dir():
        why = f"there is no folder {folder}"
    elif not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        why = "Permission denied"
    else:
        return
    raise ReviewError(f"cannot write {path}: {why}: name a file in a folder of yours")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
