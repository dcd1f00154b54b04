"""`reviewbot reproduce`: the schedule of a finding on a real kernel, with and without the patch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.reproduce.drivers import ScenarioDriver
    from reviewbot.reproduce.reproduction import Reproduction, Suspect
    from reviewbot.types import Verdict


@click.command()
@click.argument("name", required=False, metavar="ID|PATCH")
@click.option("--list", "list_", is_flag=True, help="Show the scenarios that have a driver.")
@click.option("--driver", metavar="NAME", help="Use this driver (default: each that plays the finding's schedule).")
@click.option("--runs", type=click.IntRange(1, 100), default=5, help="Boots of each kernel.")
@click.option("--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: as reviewed).")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Compilers at a time.")
@click.option("--attach", "draft", type=click.Path(path_type=Path), help="Attach the report to this draft, a file.")
@click.option("--consoles", type=click.Path(path_type=Path), help="Keep what each boot said in this folder.")
def reproduce(
    name: str | None,
    list_: bool,
    driver: str | None,
    runs: int,
    tree: Path | None,
    jobs: int,
    draft: Path | None,
    consoles: Path | None,
) -> int:
    """Build the kernel with and without the patch of a finding, and drive both into its schedule.

    ID is in the last line of a reply. A PATCH, a mail in a file, is run with the driver that is named, whatever a review
    says of it. The kernels are User Mode Linux; they are compiled and run in a sandbox without
    network, as an unprivileged user. Exit code 0 when the deadlock happens with the patch and never without it, 1 when not.
    """
    from reviewbot.reproduce import told

    if list_ or not name:
        for one in _listed(driver):
            click.echo(_described(one))
        return 0
    case = _of_file(Path(name), tree, driver) if Path(name).is_file() else _of_finding(name, tree)
    shown, reports = [], []
    for one in _chosen(case, driver):
        found = _run(case, one, runs, jobs)
        _keep(found, consoles)
        reports.append(told.text(found, case.verdict))
        shown.append(found.shown)
        click.echo(reports[-1] + "\n")
    if draft:
        from reviewbot.drafts.attach import attach

        attach(draft, "real-kernel.txt", "\n\n".join(reports) + "\n")
    return 0 if any(shown) else 1


@dataclass(frozen=True, slots=True)
class _Case:
    """What is to be run: a series on a tree, and the finding about it where there is one."""

    name: str
    tree: Path
    suspect: Suspect
    verdict: Verdict | None = None


def _of_finding(name: str, tree: Path | None) -> _Case:
    from reviewbot.report.explain import load
    from reviewbot.reproduce.reproduction import Suspect, guilty_side
    from reviewbot.review import runs_folder
    from reviewbot.types import ReviewError

    run = load(runs_folder(), name)
    if run.series is None:
        raise ReviewError(f"the patch of {name} is not kept: run `reviewbot check` on the mail again")
    return _Case(name, tree or Path(run.tree), Suspect(run.series, run.base, guilty_side(run.verdict)), run.verdict)


def _of_file(path: Path, tree: Path | None, driver: str | None) -> _Case:
    from reviewbot.mail import fetch
    from reviewbot.reproduce.reproduction import Suspect

    if not driver:
        raise click.UsageError(f"{path}: name the driver to run it with (--driver NAME, --list shows them)")
    return _Case(path.name, tree or Path(), Suspect(fetch.parse(path.read_bytes(), path.name)))


def _listed(driver: str | None) -> Sequence[ScenarioDriver]:
    from reviewbot.reproduce.drivers import drivers, find

    return [find(driver)] if driver else list(drivers().values())


def _described(driver: ScenarioDriver) -> str:
    from reviewbot.reproduce.reproduction import missing

    of = f"  plays {', '.join((*driver.scenes, *driver.rules))} in {', '.join(driver.files) or 'any file'}"
    lacking = missing(driver)
    here = f"\n  not here: install {lacking}" if lacking else ""
    return f"{click.style(driver.name, bold=True)}\n  {driver.title}\n{of}{here}"


def _chosen(case: _Case, name: str | None) -> Sequence[ScenarioDriver]:
    from reviewbot.reproduce.drivers import find, playing
    from reviewbot.types import ReviewError

    found = [find(name)] if name else playing(case.verdict) if case.verdict else []
    if not found:
        raise ReviewError(
            f"no driver plays the schedule of {case.name}: `reviewbot reproduce --list` shows which there are"
        )
    return found


def _run(case: _Case, driver: ScenarioDriver, runs: int, jobs: int) -> Reproduction:
    from reviewbot.gittree.tree import Tree
    from reviewbot.reproduce.reproduction import reproduce as reproduced

    with Tree.open(case.tree) as repository:
        return reproduced(repository, case.suspect, driver, runs, jobs, _say)


def _say(words: str) -> None:
    click.secho(words, dim=True, err=True)


def _keep(found: Reproduction, folder: Path | None) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for side in (found.guilty, found.control):
        for number, one in enumerate(side.boots, 1):
            (folder / f"{found.driver.name}-{side.side.value}-{number}.txt").write_bytes(one.text)
