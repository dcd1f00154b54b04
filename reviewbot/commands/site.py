"""`reviewbot site` and `reviewbot serve`: the dashboard of the watcher as a folder of files, and on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--config", "path", type=click.Path(path_type=Path), help="Configuration (default: the user's).")
@click.option("--no-docs", is_flag=True, help="Leave the documentation as it is.")
def site(folder: Path, path: Path | None, no_docs: bool) -> None:
    """Make the dashboard of the watcher in DIR, or bring it up to date.

    Series by list and verdict, each with its versions, its schedule and its draft; how often each rule fired and was
    right; an Atom feed and a JSON file a series; the documentation, which needs `pip install 'reviewbot[docs]'`. Only what
    changed is made again. `site` in the configuration names a
    folder that every poll brings up to date.
    """
    from reviewbot.site.build import build
    from reviewbot.watch import config as configuration
    from reviewbot.watch.store import Store

    config = configuration.load(path)
    if not no_docs:
        _document(folder / "docs")
    with Store.open(config.database_url()) as store:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("series", total=None)
                built = build(store, folder, progress=lambda done, of: progress.update(task, completed=done, total=of))
        else:
            built = build(store, folder)
    click.echo(f"{folder / 'index.html'}: {built.series} series, {built.made} pages made, {built.removed} removed")


def _document(folder: Path) -> None:
    """The documentation, as far as there is a generator for it."""
    from reviewbot.site import docs

    if lacks := docs.missing():
        click.echo(f"no documentation: it needs {lacks} (pip install 'reviewbot[docs]')", err=True)
    else:
        docs.build(folder)


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), default=8421, show_default=True, help="Port on loopback.")
@click.option("--config", "path", type=click.Path(path_type=Path), help="Configuration (default: the user's).")
def serve(folder: Path | None, port: int, path: Path | None) -> int:
    """Show the dashboard in DIR (default: `site` of the configuration) on 127.0.0.1, until it is interrupted.

    It answers `/api/patchset?id=MESSAGE-ID`, too: `git config b4.sashiko-url http://127.0.0.1:8421` shows verdicts and
    drafts in b4.
    """
    from reviewbot.site.serve import server
    from reviewbot.types import ReviewError
    from reviewbot.watch import config as configuration

    if folder is None:
        named = configuration.load(path).site
        if not named:
            raise ReviewError("no folder: name one, or set `site` in the configuration")
        folder = Path(named).expanduser()
    with server(folder, port) as running:
        click.echo(f"http://127.0.0.1:{running.server_address[1]}/")
        sys.stdout.flush()
        running.serve_forever()
    return 0
