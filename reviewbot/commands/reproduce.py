"""`reviewbot reproduce`: the schedule of a finding on a real kernel, with and without the patch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.report.explain import StoredRun
    from reviewbot.reproduce.drivers import ScenarioDriver
    from reviewbot.reproduce.reproduction import Reproduction


@click.command()
@click.argument("name", required=False, metavar="ID")
@click.option("--list", "list_", is_flag=True, help="Show the scenarios that have a driver.")
@click.option("--driver", metavar="NAME", help="Use this driver (default: each that plays the finding's schedule).")
@click.option("--runs", type=click.IntRange(1, 100), default=5, help="Boots of each kernel.")
@click.option("--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: as reviewed).")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Compilers at a time.")
@click.option("--consoles", type=click.Path(path_type=Path), help="Keep what each boot said in this folder.")
def reproduce(
    name: str | None,
    list_: bool,
    driver: str | None,
    runs: int,
    tree: Path | None,
    jobs: int,
    consoles: Path | None,
) -> int:
    """Build the kernel with and without the patch of a finding, and drive both into its schedule.

    ID is in the last line of a reply. The kernels are User Mode Linux; they are compiled and run in a sandbox without
    network, as an unprivileged user. Exit code 0 when the deadlock happens with the patch and never without it, 1 when not.
    """
    from reviewbot.report.explain import load
    from reviewbot.reproduce import told
    from reviewbot.review import runs_folder

    if list_ or not name:
        for one in _listed(driver):
            click.echo(_described(one))
        return 0
    run = load(runs_folder(), name)
    shown = []
    for one in _chosen(run, driver):
        found = _run(run, one, runs, tree, jobs)
        _keep(found, consoles)
        click.echo(told.text(found, run.verdict) + "\n")
        shown.append(found.shown)
    return 0 if any(shown) else 1


def _listed(driver: str | None) -> Sequence[ScenarioDriver]:
    from reviewbot.reproduce.drivers import drivers, find

    return [find(driver)] if driver else list(drivers().values())


def _described(driver: ScenarioDriver) -> str:
    from reviewbot.reproduce.reproduction import missing

    of = f"  plays {', '.join((*driver.scenes, *driver.rules))} in {', '.join(driver.files) or 'any file'}"
    lacking = missing(driver)
    here = f"\n  not here: install {lacking}" if lacking else ""
    return f"{click.style(driver.name, bold=True)}\n  {driver.title}\n{of}{here}"


def _chosen(run: StoredRun, name: str | None) -> Sequence[ScenarioDriver]:
    from reviewbot.reproduce.drivers import find, playing
    from reviewbot.types import ReviewError

    found = [find(name)] if name else playing(run.verdict)
    if not found:
        raise ReviewError(
            f"no driver plays the schedule of {run.id}: `reviewbot reproduce --list` shows which there are"
        )
    if run.series is None:
        raise ReviewError(f"the patch of {run.id} is not kept: run `reviewbot check` on the mail again")
    return found


def _run(run: StoredRun, driver: ScenarioDriver, runs: int, tree: Path | None, jobs: int) -> Reproduction:
    from reviewbot.gittree.tree import Tree
    from reviewbot.reproduce.reproduction import Suspect, guilty_side
    from reviewbot.reproduce.reproduction import reproduce as reproduced

    assert run.series is not None
    suspect = Suspect(run.series, run.base, guilty_side(run.verdict))
    with Tree.open(tree or Path(run.tree)) as repository:
        return reproduced(repository, suspect, driver, runs, jobs, _say)


def _say(words: str) -> None:
    click.secho(words, dim=True, err=True)


def _keep(found: Reproduction, folder: Path | None) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for side in (found.guilty, found.control):
        for number, one in enumerate(side.boots, 1):
            (folder / f"{found.driver.name}-{side.side.value}-{number}.txt").write_bytes(one.text)
