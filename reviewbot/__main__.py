"""The process: it can be stopped from here on, before the command line, which takes a while, is even imported."""

from __future__ import annotations

from typing import NoReturn

from reviewbot.process import stopping

stopping.at_once()


def main() -> NoReturn:
    """Run the command line and leave the process with the command's exit code."""
    from reviewbot import cli

    cli.main()


if __name__ == "__main__":
    main()
