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
    parts = path.removesuffix(".c").split("/")
    for up in range(1, min(MAX_FOLDERS_UP_TO_MAKEFILE, len(parts) - 1) + 1):
        folder, own = "/".join(parts[:-up]), "/".join(parts[-up:])
        for name in _NAMES:
            text = source.read(f"{folder}/{name}")
            composite = composites(text).get(own) if text is not None else None
            if composite is not None:
                return f"{folder}/{composite}"
    return path


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
