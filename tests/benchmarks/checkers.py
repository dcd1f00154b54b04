"""The other checkers of patches, as their users call them, for the benchmarks: commands, and the files of a tree that these need.

checkpatch.pl reads a patch; Coccinelle's lock scripts, sparse and smatch read files. sparse and smatch say nothing of a
function whose headers they could not read, so that the headers that a build makes are made, with everything configured
(`make allyesconfig prepare0` in a copy of the tree: make, gcc, flex and bison).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

COCCI = ("call_kern", "double_lock", "flags", "mini_lock")
NEEDED = ("Makefile", "Kbuild", "arch/x86", "include", "kernel", "lib", "scripts", "security", "tools")
"""What a tree has to have of itself to make its headers, besides all of its Kconfig."""
DEBIAN = {"spatch": "coccinelle", "sparse": "sparse", "smatch": "no package: repo.or.cz/smatch.git", "perl": "perl"}


class Kernel(NamedTuple):
    """What checkers need of a tree: its scripts and headers, and the headers that a build of it makes."""

    source: Path
    made: Path
    lacks: str = ""
    """Why there are none of those that a build makes; empty where there are."""

    @classmethod
    def of(cls, repository: Path, to: Path, build: bool = True) -> Kernel:
        """Those of HEAD of a repository, in a new folder. build: make the headers, too."""
        source, made = to / "source", to / "made"
        source.mkdir(parents=True)
        git = ["git", "-C", str(repository)]
        listed = subprocess.run(
            [*git, "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, text=True, check=True
        )
        names = listed.stdout.splitlines()
        wanted = [name for name in NEEDED if any(n == name or n.startswith(f"{name}/") for n in names)]
        if any("Kconfig" in name for name in names):
            wanted.append(":(glob)**/Kconfig*")
        with subprocess.Popen([*git, "archive", "HEAD", "--", *wanted], stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "-x", "-C", source], stdin=archive.stdout, check=True)
        return cls(source, made, cls._build(source, made) if build else "not made")

    @staticmethod
    def _build(source: Path, made: Path) -> str:
        absent = [name for name in ("make", "gcc", "flex", "bison") if not shutil.which(name)]
        if absent:
            return f"the headers of a build cannot be made without {', '.join(absent)}"
        for target in ("allyesconfig", "prepare0"):
            done = subprocess.run(
                ["make", "-s", "-C", source, f"O={made}", target],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["make does not say why"]
                return f"the headers of a build cannot be made: {said[0].replace(f'{source}/', '')[:120]}"
        return ""


def missing(program: str) -> str:
    """Why a checker cannot be run; empty where it can."""
    if shutil.which(program):
        return ""
    return f"{program} is not installed{f' (Debian: {DEBIAN[program]})' if program in DEBIAN else ''}"


def checkpatch(kernel: Kernel, patch: Path, *more: str) -> list[str]:
    """checkpatch.pl of the tree on one patch, a line for each complaint."""
    return [
        "perl",
        str(kernel.source / "scripts/checkpatch.pl"),
        "--no-tree",
        "--terse",
        "--no-summary",
        *more,
        str(patch),
    ]


def coccinelle(kernel: Kernel, files: Sequence[Path]) -> list[list[str]]:
    """The scripts of the tree on locks, each on some files."""
    scripts = kernel.source / "scripts/coccinelle/locks"
    options = ("--very-quiet", "--no-includes", "--no-show-diff", "-D", "report")
    found = [scripts / f"{name}.cocci" for name in COCCI]
    return [["spatch", *options, "--cocci-file", str(s), *map(str, files)] for s in found if s.exists()]


def sparse(kernel: Kernel, file: Path) -> list[str]:
    """sparse on one file: what it says of locks, and what it cannot read."""
    return ["sparse", "-Wcontext", "-Wno-return-void", "-Wno-unknown-attribute", *_headers(kernel), str(file)]


def smatch(kernel: Kernel, file: Path) -> list[str]:
    """smatch on one file, without its database of the whole tree."""
    return ["smatch", "-p=kernel", *_headers(kernel), str(file)]


def _headers(kernel: Kernel) -> list[str]:
    """The options of a build that say where headers are."""
    arch, made = kernel.source / "arch/x86/include", kernel.made
    folders = (
        *(arch, made / "arch/x86/include/generated", kernel.source / "include", made / "include"),
        *(arch / "uapi", made / "arch/x86/include/generated/uapi"),
        *(kernel.source / "include/uapi", made / "include/generated/uapi"),
    )
    first = (
        kernel.source / "include/linux" / f"{name}.h" for name in ("compiler-version", "kconfig", "compiler_types")
    )
    return [
        *("-D__KERNEL__", "-D__linux__", "-D__STDC__", "-D__x86_64__", "--arch=x86", "-m64"),
        *(f'-DKBUILD_{name}="m"' for name in ("MODNAME", "BASENAME", "MODFILE")),
        "-D__KBUILD_MODNAME=m",
        *(f"-I{folder}" for folder in folders),
        *(word for header in first for word in ("-include", str(header))),
    ]
