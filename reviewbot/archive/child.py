"""A part of an archive in a process of its own, for a worker that is no main program: its threads could not be stopped.

Started as `python -m reviewbot.archive.child PARENT`; a Part on stdin, what became of its threads on stdout, both JSON.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from reviewbot.archive.posting import SECONDS, done
from reviewbot.archive.threads import PostedThread
from reviewbot.process import stopping
from reviewbot.process.bounded import Bounds, Child, begin, confine
from reviewbot.types import Value

MEGABYTES = 4096


class ArchivePart(Value, frozen=True):
    """Some threads, and the trees that they are tried on."""

    threads: tuple[PostedThread, ...]
    trees: tuple[tuple[str, str], ...]


def ask(threads: bytes, trees: Mapping[str, str]) -> bytes:
    """What became of some threads, given and told as JSON. Raises as `Child.ask`."""
    found = msgspec.json.decode(threads, type=tuple[PostedThread, ...])
    question = msgspec.json.encode(ArchivePart(found, tuple(trees.items())))
    with Child(__name__) as child:
        return child.ask(question, _bounds(len(found)))


def _bounds(threads: int) -> Bounds:
    return Bounds(seconds=4 * SECONDS * (threads + 1), megabytes=MEGABYTES)


def main() -> None:
    """Answer the question on stdin."""
    begin()
    gc.set_threshold(5_000_000, 20, 100)  # as the command line has it
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    part = msgspec.json.decode(sys.stdin.buffer.read(), type=ArchivePart)
    confine(_bounds(len(part.threads)))
    found = [*done(part.threads, {name: Path(path) for name, path in part.trees})]
    answer.write(msgspec.json.encode(found))
    answer.flush()
    stopping.leave(0)


if __name__ == "__main__":
    main()
