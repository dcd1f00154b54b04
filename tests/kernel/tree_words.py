"""What a kernel tree defines, found by looking at words only: functions and macros with how many arguments they take,
and the members of its structs. No parser: one pass over the text of the folders that the data speaks of."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

HEADERS = ("include",)
"""Where nearly everything is declared."""
SOURCES = (
    "block",
    "drivers/base",
    "drivers/md",
    "drivers/mmc/core",
    "drivers/nvme",
    "fs",
    "kernel",
    "mm",
    "net/devlink",
)
"""Where the rest is: what a folder keeps to itself, and what is only defined there."""
ANY = 99
"""As many arguments as somebody likes: `...`, or a macro that stands for another name."""

_WANTED = re.compile(r"\w+")
_DEFINED = re.compile(
    r"^[ \t]*#[ \t]*define[ \t]+(?P<macro>\w+)(?P<open>\(?)"
    r"|^(?:__\w+\([^()\n]*\)[ \t]*)*(?:[A-Za-z_][^\n;={}#/()]*[ \t*])?(?:__\w+\([^()\n]*\)[ \t]*)*"
    r"(?P<function>\w+)[ \t]*\("
    r"|^[ \t]*(?:typedef[ \t]+)?(?:struct|union)[ \t]+(?P<struct>\w+)[^;{}()=]{0,80}\{"
    r"|^(?:typedef[^\n;{]*|extern [^\n;(]*|\}[ \t]*)\b(?P<named>\w+)(?:\[\])?;",
    re.M,
)


class TreeWords:
    """Names that are wanted, as the trees that were read define them."""

    def __init__(self, functions: set[str], structs: set[str], plain: set[str]) -> None:
        self._functions, self._structs = functions, structs
        self.plain = set(plain)
        """Words that have not been met yet."""
        self.takes: dict[str, int] = {}
        """Function or macro -> the most arguments that one of its definitions takes; ANY for what is known by name only."""
        self.members: dict[str, set[str]] = {}
        """Struct -> the words in its definitions."""

    def read(self, repository: Path, folders: tuple[str, ...]) -> None:
        """Take in the C files of some folders of the repository's HEAD; folders that it has not are left out."""
        listed = subprocess.run(
            ["git", "-C", str(repository), "ls-tree", "-d", "--name-only", "HEAD", *folders],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        command = ["git", "-C", str(repository), "archive", "HEAD", "--", *listed]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as made:
            assert made.stdout is not None
            with tarfile.open(fileobj=made.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith((".h", ".c")):
                        file = archive.extractfile(member)
                        assert file is not None
                        self.text(file.read().decode("latin-1"))

    def arguments(self, name: str) -> int:
        """How many arguments a name takes; of a macro that only counts memory, what it stands for does."""
        most = self.takes[name]
        return self.takes.get(f"{name}_noprof", most) if most == ANY else most

    def text(self, text: str) -> None:
        """Take in one file."""
        self.plain -= {name for name in self.plain if name in text}
        for found in _DEFINED.finditer(text):
            match found.lastgroup:
                case "open":
                    self._take(found["macro"], _arguments(text, found.end()) if found["open"] else ANY)
                case "function" if found["function"].startswith(("EXPORT_", "DEFINE_", "DECLARE_", "TRACE_")):
                    for name in _WANTED.findall(text, found.end(), found.end() + 120)[:1]:
                        self._take(name, 0)
                case "function":
                    self._take(found["function"], _arguments(text, found.end()))
                case "named":
                    self._take(found["named"], ANY)
                case "struct" if found["struct"] in self._structs:
                    end = text.find("\n}", found.end())
                    words = _WANTED.findall(text, found.end(), end if end >= 0 else len(text))
                    self.members.setdefault(found["struct"], set()).update(words)

    def _take(self, name: str, most: int) -> None:
        if name in self._functions:
            self.takes[name] = max(most, self.takes.get(name, 0))


def _arguments(text: str, start: int) -> int:
    """How many parameters a list has that opens before `start`."""
    depth, count, at = 1, 1, start
    while depth and at < len(text):
        letter = text[at]
        depth += (letter in "([{") - (letter in ")]}")
        count += letter == "," and depth == 1
        at += 1
    inside = text[start : at - 1].strip()
    return ANY if "..." in inside else 0 if inside in ("", "void") else count
