"""Builds User Mode Linux from a tree: the base once for each config, and each change of it on top of that.

The built base, source and objects, is one packed file of the cache. A change is built on a copy of it that is unpacked in
the sandbox, so that only what the change touches is compiled, and nothing that it does while it is built can stay behind.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from reviewbot.process import cache
from reviewbot.reproduce import recipes, sandbox
from reviewbot.reproduce.sandbox import Allowance, SandboxResult
from reviewbot.types import ReviewError, Source, Value

PART = "kernels"
"""Folder of the cache."""
ARCHITECTURES = ("um", "x86")
LEFT_OUT = (
    "Documentation", "samples", "sound", "drivers/accel", "drivers/clk", "drivers/dma", "drivers/gpu", "drivers/hid",
    "drivers/hwmon", "drivers/iio", "drivers/infiniband", "drivers/media", "drivers/mtd", "drivers/net", "drivers/phy",
    "drivers/pinctrl", "drivers/platform", "drivers/s390", "drivers/staging", "drivers/usb", "drivers/video",
)  # fmt: skip
"""Folders of which only the build files are taken: four fifths of a tree, and nothing of it is in User Mode Linux."""
TOOLS = ("tools/include", "tools/scripts", "tools/build", "tools/lib")
_FILES_AT_ONCE = 500
_BUILD_FILE = re.compile(r"(?:Kconfig|Makefile|Kbuild)[^/]*$")
BASE = Allowance(
    seconds=3600,
    cpu_seconds=1800,
    process_megabytes=2048,
    disk_megabytes=4096,
    output_megabytes=2048,
    together_megabytes=16384,
)
"""Of a whole build: three minutes of processor time, a gigabyte of files, and more where the machine is busy."""
CHANGE = Allowance(
    seconds=1800,
    cpu_seconds=1800,
    process_megabytes=2048,
    disk_megabytes=4096,
    output_megabytes=256,
    together_megabytes=16384,
)
"""Of the build of a change: a header can make all of it anew. The kernel itself has 10 to 100 megabytes."""
_PREPARE = "export ARCH=um KBUILD_BUILD_USER=reviewbot KBUILD_BUILD_HOST=sandbox KBUILD_BUILD_TIMESTAMP=@0"
NOT_COMPILED = 9
"""Exit code of the script for a changed file of C that no object was made of."""
_MAKE = 'make -s -j"$JOBS" linux >&2'
_WHOLE = f"""set -e; {_PREPARE}
mkdir build && cd build && tar -x
make -s allnoconfig KCONFIG_ALLCONFIG=wanted.config >&2
{_MAKE}
tar -c --format=posix . | gzip -1"""
_LED_ON = f"""set -e; {_PREPARE}
mkdir build && cd build && tar -xz -f /base
tar -x && while read -r gone; do rm -f "./$gone"; done < removed.list
{_MAKE}
while read -r code; do
  [ -e "$code" ] || continue
  some=yes
  [ ! -e "${{code%.c}}.o" ] || made=yes
done < compiled.list
[ -z "$some" ] || [ -n "$made" ] || exit {NOT_COMPILED}
strip -o stripped linux && cat stripped"""
_AS_IT_IS = "set -e; tar -xz -f /base ./linux; strip -o stripped linux && cat stripped"


class KernelBase(Value, frozen=True):
    """A base that was built: where its packed folder lies, and which recipes could be followed."""

    packed: Path
    recipes: tuple[str, ...]


def needed() -> list[str]:
    """Programs that a build lacks here."""
    import shutil

    return [p for p in ("gcc", "make", "flex", "bison", "bc", "tar", "gzip") if not shutil.which(p, path=sandbox.PATH)]


def build_base(
    source: Source, name: str, fragments: Sequence[str], jobs: int, said: Callable[[str], None]
) -> KernelBase:
    """The kernel of a tree without any change, from the cache or built now, which takes some minutes.

    In: the files of the tree and a name that stands for them (a commit id), names of config fragments, how many compilers
    may run at a time, where to say that it takes time. Raises ReviewError with the compiler's words where it fails.
    """
    wanted = config(fragments)
    edits, done = recipes.follow(source)
    parts = [name, wanted, *(text.decode("utf-8", "replace") for text in edits.values()), _WHOLE, _compiler()]
    key = sha256("\0".join(parts).encode()).hexdigest()[:24]
    packed = cache.folder() / PART / f"{key}.tar.gz"
    if packed.is_file():
        cache.used(packed)
        return KernelBase(packed, done)
    said(f"building the base {name[:12]} ({', '.join(fragments)}): some minutes, once for each base and config")
    edits = {**edits, "wanted.config": wanted.encode()}
    result = sandbox.run(["sh", "-c", _WHOLE], BASE, fed=partial(_pack_base, source, edits), environment=_jobs(jobs))
    _checked(result, "the base")
    cache.write(packed, [result.output])
    packed.chmod(0o644)  # inside of the sandbox it is another user's
    return KernelBase(packed, done)


def build(base: KernelBase, files_: Mapping[str, bytes | None], jobs: int) -> bytes:
    """The kernel of a base with some of its files in place of its own (None: gone): the program, to be run.

    That of the base as it is stays in the cache: most patches are compared with it.
    Raises ReviewError with the compiler's words where it does not build, and where changed C is not part of it.
    """
    if not files_:
        return _unchanged(base)
    result = sandbox.run(
        ["sh", "-c", _LED_ON], CHANGE, shown={"/base": base.packed}, fed=partial(_pack, files_), environment=_jobs(jobs)
    )
    if result.code == NOT_COMPILED:
        raise ReviewError("what the change is about is not compiled with this config: no boot could show anything")
    _checked(result, "the change")
    return result.output


def _unchanged(base: KernelBase) -> bytes:
    kept = base.packed.with_name(f"{base.packed.name.partition('.')[0]}.linux")
    if kept.is_file():
        cache.used(kept)
        return kept.read_bytes()
    result = sandbox.run(["sh", "-c", _AS_IT_IS], CHANGE, shown={"/base": base.packed})
    _checked(result, "the base")
    cache.write(kept, [result.output])
    return result.output


def difference(before: Source, after: Source) -> dict[str, bytes | None]:
    """The files in which two trees differ, with their contents in the second one; None for one that it lacks."""
    old, new = before.ls(""), after.ls("")
    changed = [path for path, blob in new.items() if old.get(path) != blob]
    return {**dict.fromkeys(old.keys() - new.keys()), **after.read_many(changed)}


def with_recipes(source: Source, changed: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """The same files with the recipes followed in those that they are about."""
    edits, _ = recipes.follow(source)
    return {path: edits.get(path, content) if content is not None else None for path, content in changed.items()}


def config(fragments: Sequence[str]) -> str:
    """The text of some config fragments. Raises ReviewError for one that there is not."""
    folder = files("reviewbot.reproduce") / "config"
    try:
        return "".join((folder / f"{name}.config").read_text() for name in fragments)
    except FileNotFoundError as error:
        raise ReviewError(f"there is no config fragment {Path(error.filename).stem}") from None


def taken(path: str) -> bool:
    """Whether a file of a kernel tree is needed to build User Mode Linux."""
    if _BUILD_FILE.search(path):
        return True
    top, _, below = path.partition("/")
    if top == "arch":
        return "/" not in below or below.partition("/")[0] in ARCHITECTURES
    folder = "/".join(path.split("/")[:2])
    return top not in LEFT_OUT and folder not in LEFT_OUT and (top != "tools" or folder in TOOLS)


def _pack_base(source: Source, edits: Mapping[str, bytes], out: BinaryIO) -> None:
    """Write the files of a tree that a build needs as an archive."""
    paths = [path for path in sorted(source.ls("")) if taken(path) and path not in edits]
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for at in range(0, len(paths), _FILES_AT_ONCE):
            for path, content in source.read_many(paths[at : at + _FILES_AT_ONCE]).items():
                _add(archive, path, content, 0)
        for path, content in edits.items():
            _add(archive, path, content, 0)


def _pack(changed: Mapping[str, bytes | None], out: BinaryIO) -> None:
    """Write some changed files as an archive, newer than all that was built from them."""
    now = time.time()
    gone = "".join(f"{path}\n" for path, content in changed.items() if content is None)
    code = "".join(f"{path}\n" for path in changed if path.endswith(".c"))
    lists = {"removed.list": gone.encode(), "compiled.list": code.encode()}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, content in {**changed, **lists}.items():
            if content is not None:
                _add(archive, path, content, now)


def _add(archive: tarfile.TarFile, path: str, content: bytes, written: float) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mtime = len(content), written
    entry.mode = 0o755 if content.startswith(b"#!") else 0o644
    archive.addfile(entry, io.BytesIO(content))


def _jobs(jobs: int) -> dict[str, str]:
    return {"JOBS": str(jobs)}


def _compiler() -> str:
    return subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=False).stdout


def _checked(result: SandboxResult, what: str) -> None:
    """Raise ReviewError where a build failed, with the first error that the compiler names."""
    if result.cut:
        raise ReviewError(f"{what} was not built: it used up its {result.cut}")
    if result.code:
        lines = [line for line in result.said.splitlines() if line.strip()]
        errors = [line for line in lines if re.search(r"\berror\b|undefined reference|No space", line, re.IGNORECASE)]
        raise ReviewError(
            f"{what} does not build as User Mode Linux: {(errors or lines[-1:] or ['no reason given'])[0]}"
        )
