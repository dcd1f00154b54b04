"""The command line: finds the command, runs it, turns errors into one line and a code. Only it leaves the process."""

from __future__ import annotations

import errno
import gc
import importlib
import importlib.util
import os
import sys
from contextlib import suppress
from typing import NoReturn

import rich_click as click
from click.exceptions import Exit

from reviewbot.commands import TABLE
from reviewbot.process import stopping
from reviewbot.types import ReviewError

FAULT = 5
"""Exit code for a fault of ours."""
CLOSED = 141
"""Exit code when the reader of stdout went away, as a shell has it for SIGPIPE: never one that is a verdict."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a place with no room left, be it standard output."""


class Commands(click.RichGroup):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands whose modules are installed."""
        return [name for name, module in TABLE.items() if importlib.util.find_spec(f"reviewbot.commands.{module}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now; None for none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"reviewbot.commands.{TABLE[cmd_name]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reviewbot")
@click.pass_context
def cli(context: click.Context) -> None:
    """Review kernel patches for changes that can deadlock."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(ReviewError.exit_code)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with the command's exit code.

    Set REVIEWBOT_DEBUG=1 to see the traceback of a fault of ours.
    """
    gc.set_threshold(5_000_000, 20, 100)  # a review makes millions of values and hardly a cycle
    try:
        stopping.in_order()
        code = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # between two steps
        code = stopping.CODE
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # without giving back each value by itself, which takes as long as to read a dozen files


def run(argv: list[str]) -> int:
    """Run one command line; returns the exit code instead of leaving. Errors are one line on stderr."""
    try:
        code = cli.main(args=argv, prog_name="reviewbot", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        _say(f"{error.format_message()} ({error.ctx.command_path if error.ctx else 'reviewbot'} --help shows more)")
        return ReviewError.exit_code
    except click.ClickException as error:
        _say(error.format_message())
        return ReviewError.exit_code
    except ReviewError as error:
        _say(str(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return stopping.CODE
    except (BrokenPipeError, SystemExit) as left:  # nobody reads on; click and rich leave by themselves then
        if isinstance(left, SystemExit) and not left.code:
            return 0  # a shell's question for completions is answered
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            _say(
                f"cannot write {error.filename or 'what this command says'}: {error.strerror}: make room, and run it again"
            )
            return ReviewError.exit_code
        if os.environ.get("REVIEWBOT_DEBUG"):
            raise
        from reviewbot.process.bounded import fault

        _say(fault(error))
        return FAULT


def _say(message: str) -> None:
    print(f"reviewbot: {' '.join(message.split())}", file=sys.stderr)
