"""Which files make one object of the kernel, read off the Makefiles: kbuild's composite objects, `NAME-y := a.o b.o`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from reviewbot.limits import MAX_FOLDERS_UP_TO_MAKEFILE
from reviewbot.types import Source

_NAMES = ("Makefile", "Kbuild")
_JOINED = re.compile(r"\\\r?\n")
_COMPOSITE = re.compile(r"^[ \t]*([\w.+-]+?)-(?:y|m|objs|\$\([\w-]+\))[ \t]*[:+]?=[ \t]*([^#\n]*)", re.MULTILINE)
_PREFIXED = re.compile(r"\$\(addprefix[ \t]+([\w./-]+)[ \t]*,([^()]*)\)")
_LISTS = frozenset(
    {"obj", "lib", "subdir", "always", "targets", "extra", "hostprogs", "userprogs", "ccflags", "asflags"}
)
"""What looks like a composite and is a list of objects or flags: kbuild, Documentation/kbuild/makefiles.rst."""


def module(path: str, source: Source) -> str:
    """The composite object that a C file is linked into, as `folder/NAME`; the file itself where no Makefile of its
    folder, or of one above, names it as a part of one."""
    found = _part(path, source)
    return f"{found[0]}/{found[1]}" if found is not None else path


def linked(path: str, source: Source) -> tuple[str, ...]:
    """The C files that are linked into one composite object with one that a Makefile of a folder above its own names."""
    found = _part(path, source)
    if found is None or found[0] == path.rpartition("/")[0]:
        return ()
    folder, name, parts = found
    return tuple(sorted(f"{folder}/{part}.c" for part, whole in parts.items() if whole == name))


def _part(path: str, source: Source) -> tuple[str, str, Mapping[str, str]] | None:
    """Where a file is named as a part of a composite object: folder, name of the object, all parts that are named there."""
    parts = path.removesuffix(".c").split("/")
    for up in range(1, min(MAX_FOLDERS_UP_TO_MAKEFILE, len(parts) - 1) + 1):
        folder, own = "/".join(parts[:-up]), "/".join(parts[-up:])
        for name in _NAMES:
            text = source.read(f"{folder}/{name}")
            every = composites(text) if text is not None else {}
            if own in every:
                return folder, every[own], every
    return None


@lru_cache(maxsize=256)
def composites(text: bytes) -> Mapping[str, str]:
    """Part (path without `.o`, from the Makefile's folder) -> name of the composite object, as a Makefile says."""
    found: dict[str, str] = {}
    for name, value in _COMPOSITE.findall(_JOINED.sub(" ", text.decode(errors="replace"))):
        if name in _LISTS:
            continue
        value = _PREFIXED.sub(lambda m: " ".join(m[1] + word for word in m[2].split()), value)
        for word in value.split():
            if word.endswith(".o"):
                found.setdefault(word.removesuffix(".o"), name)
    return found
