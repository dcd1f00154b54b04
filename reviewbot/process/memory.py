"""What this process has in memory."""

from __future__ import annotations

from resource import getpagesize


def megabytes() -> int:
    """Megabytes of this process in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * getpagesize() >> 20
    except OSError:
        return 0
