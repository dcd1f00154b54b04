"""`python -m reviewbot.mail.start LIMITS`: the child process that reads mails, see `reviewbot.mail.child`.

The network's library is loaded when something has to be fetched: liblore imports it for all that it does, and it takes
longer to load than a mail at hand takes to read.
"""

from __future__ import annotations

from collections.abc import Callable

from reviewbot.process.later import later


def ready() -> Callable[[], None]:
    """What answers requests until stdin ends."""
    later("requests")
    from reviewbot.mail import child

    return child.main


if __name__ == "__main__":
    ready()()
