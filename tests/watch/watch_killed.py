"""Runs one poll and kills itself, as `kill -9` does, when a function is about to be called or was called the n-th time.

python watch_killed.py CONFIG [module:Class.function before|after N]
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from functools import wraps
from pathlib import Path
from typing import Any


def arm(target: str, when: str, count: int) -> None:
    """Put the mine under a function."""
    module_name, _, path = target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    real = getattr(owner, name)
    calls = 0

    @wraps(real)
    def mined(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **more)
        if when == "after" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, mined)


def main() -> int:
    """One poll with the reviewer of the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from reviewbot.watch import config, poll
    from reviewbot.watch.store import Store

    if len(sys.argv) > 2:
        arm(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    settings = config.load(Path(sys.argv[1]))
    with Store.open(settings.database_url()) as store:
        review = "READ_ONLY" not in os.environ
        summary = poll.poll(settings, store, reviewer="inbox:finder", review=review)
    print(summary.line(), *summary.faults)
    return 1 if summary.faults else 0


if __name__ == "__main__":
    sys.exit(main())
