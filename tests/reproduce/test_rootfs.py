"""The root file system is an archive that the kernel, and cpio, can unpack."""

from __future__ import annotations

import re
import subprocess
from shutil import which

import pytest

from reviewbot.reproduce import rootfs
from reviewbot.types import ReviewError


@pytest.fixture(scope="module")
def whole() -> bytes:
    lacking = rootfs.needed(())
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    return rootfs.archive((), {"init": b"#!/bin/busybox sh\n", "lib/driver/part": b"part\n"})


def test_every_entry_begins_where_the_kernel_looks_for_it(whole: bytes) -> None:
    at, names = 0, []
    while at < len(whole):
        assert whole[at : at + 6] == b"070701"
        fields = [int(whole[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        names.append((whole[at + 110 : at + 109 + length].decode(), fields[1]))
        at += -(-(110 + length) // 4) * 4 + -(-size // 4) * 4
    assert names[-1][0] == "TRAILER!!!"
    modes = dict(names)
    assert modes["init"] == 0o100755
    assert modes["dev/console"] == 0o20600
    assert modes["lib/driver"] == 0o40755
    order = [name for name, _ in names]
    assert order.index("lib/driver") < order.index("lib/driver/part")
    assert len(order) == len(set(order))


def test_cpio_lists_it(whole: bytes) -> None:
    if not which("cpio"):
        pytest.skip("cpio is not installed")
    listed = subprocess.run(["cpio", "-tv"], input=whole, capture_output=True, check=True).stdout.decode()
    assert re.search(r"^crw-------.* 5,\s+1 .*dev/console$", listed, re.MULTILINE)
    assert re.search(r"^-rwxr-xr-x.*bin/busybox$", listed, re.MULTILINE)


def test_a_program_that_is_missing_is_named() -> None:
    assert "no-such-program" in rootfs.needed(["no-such-program"])
    with pytest.raises(ReviewError, match="cannot find the program no-such-program"):
        rootfs.archive(["no-such-program"], {})
