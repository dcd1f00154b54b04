"""`reviewbot reproduce`: the schedule of a finding on a real kernel, with and without the patch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.reproduce.drivers import ScenarioDriver
    from reviewbot.reproduce.reproduction import Reproduction, SideRuns, Suspect
    from reviewbot.types import Series, Verdict


@click.command()
@click.argument("names", nargs=-1, metavar="[ID|PATCH]...")
@click.option("--list", "list_", is_flag=True, help="Show the scenarios that have a driver.")
@click.option("--driver", metavar="NAME", help="Use this driver (default: each that plays the finding's schedule).")
@click.option("--runs", type=click.IntRange(1, 100), default=5, help="Boots of each kernel.")
@click.option("--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: as reviewed).")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Compilers at a time.")
@click.option("--attach", "draft", type=click.Path(path_type=Path), help="Attach the report to this draft, a file.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the page of `check --html` with the report in it.")
@click.option("--consoles", type=click.Path(path_type=Path), help="Keep what each boot said in this folder.")
def reproduce(
    names: Sequence[str],
    list_: bool,
    driver: str | None,
    runs: int,
    tree: Path | None,
    jobs: int,
    draft: Path | None,
    html: Path | None,
    consoles: Path | None,
) -> int:
    """Build the kernel with and without the patch of a finding, and drive both into its schedule.

    ID is in the last line of a reply. A PATCH, a mail in a file, is reviewed first, and its findings are run; with a driver
    that is named it is run with that, whatever a review says of it. The kernels are User Mode Linux; they are compiled and
    run in a sandbox without network, as an unprivileged user. Exit code 0 when each deadlock happens with the patch and
    never without it, 1 when not.
    """
    if list_ or not names:
        for one in _listed(driver):
            click.echo(_described(one))
        return 0
    cases = [case for name in names for case in _cases(name, tree, driver)]
    chosen = [(case, one) for case in cases for one in _chosen(case, driver)]
    controls: dict[str, SideRuns] = {}
    results = [_Result(case, *_run(case, one, runs, jobs, consoles, controls)) for case, one in chosen]
    if len(results) > 1:
        click.echo("\n".join(_table(results)))
    if draft:
        from reviewbot.drafts.attach import attach

        attach(draft, "real-kernel.txt", "\n\n".join(one.report for one in results) + "\n")
    if html:
        _write_page(results, html)
    return 0 if _all_shown(results) else 1


@dataclass(frozen=True, slots=True)
class _Case:
    """What is to be run: a series on a tree, and the finding about it where there is one."""

    name: str
    tree: Path
    suspect: Suspect
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of a case with one driver."""

    case: _Case
    found: Reproduction
    report: str
    seconds: float


def _cases(name: str, tree: Path | None, driver: str | None) -> Sequence[_Case]:
    """A finding, or those of a patch; a patch alone where a driver is named."""
    if not Path(name).is_file():
        return [_of_finding(name, tree)]
    from reviewbot.mail import fetch
    from reviewbot.reproduce.reproduction import Suspect

    series = fetch.parse(Path(name).read_bytes(), Path(name).name)
    if driver:
        return [_Case(Path(name).name, tree or Path(), Suspect(series))]
    return _of_patch(Path(name).name, series, tree or Path())


def _of_finding(name: str, tree: Path | None) -> _Case:
    from reviewbot.report.explain import load
    from reviewbot.reproduce.reproduction import Suspect, guilty_side
    from reviewbot.review import runs_folder
    from reviewbot.types import ReviewError

    run = load(runs_folder(), name)
    if run.series is None:
        raise ReviewError(f"the patch of {name} is not kept: run `reviewbot check` on the mail again")
    return _Case(name, tree or Path(run.tree), Suspect(run.series, run.base, guilty_side(run.verdict)), run.verdict)


def _of_patch(name: str, series: Series, tree: Path) -> Sequence[_Case]:
    """The findings of a review that say that one side gets stuck; one of several that the same drivers play."""
    from reviewbot.reproduce.drivers import playing
    from reviewbot.reproduce.reproduction import Suspect, guilty_side
    from reviewbot.review import Options, review
    from reviewbot.types import Outcome, ReviewError

    _say(f"{name}: review")
    result = review(series, Options(tree=str(tree)))
    base = result.change.commit if result.change else ""
    found: dict[tuple[str, ...], _Case] = {}
    for verdict in result.verdicts:
        played = tuple(one.name for one in playing(verdict))
        if played and verdict.outcome in (Outcome.CONFIRMED, Outcome.FIXED):
            suspect = Suspect(result.series, base, guilty_side(verdict))
            found.setdefault(played, _Case(name, tree, suspect, verdict))
    if not found:
        why = result.reason or f"the review says {result.decision.value}"
        raise ReviewError(f"{name}: no driver plays a deadlock of it ({why}): name a driver to run it all the same")
    return list(found.values())


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


def _run(
    case: _Case, driver: ScenarioDriver, runs: int, jobs: int, consoles: Path | None, controls: dict[str, SideRuns]
) -> tuple[Reproduction, str, float]:
    from reviewbot.gittree.tree import Tree
    from reviewbot.reproduce import told
    from reviewbot.reproduce.reproduction import reproduce as reproduced

    began = perf_counter()
    with Tree.open(case.tree) as repository:
        found = reproduced(repository, case.suspect, driver, runs, jobs, _say, controls)
    _keep(found, consoles)
    report = told.text(found, case.verdict)
    click.echo(report + "\n")
    return found, report, perf_counter() - began


def _all_shown(results: Sequence[_Result]) -> bool:
    """Whether each case was shown by one of its drivers at least."""
    shown: dict[int, bool] = {}
    for one in results:
        shown[id(one.case)] = shown.get(id(one.case), False) or one.found.shown
    return all(shown.values())


def _table(results: Sequence[_Result]) -> Iterator[str]:
    """A line for each run, for several of them."""
    rows = [("patch", "driver", "with it", "without it", "seconds")]
    for one in results:
        sides = {side.side.value: side.told for side in (one.found.guilty, one.found.control)}
        row = (one.case.name, one.found.driver.name, sides["after"], sides["before"], f"{one.seconds:.0f}")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _write_page(results: Sequence[_Result], file: Path) -> None:
    """The page of the reviews of what was run, with each report at its finding."""
    from reviewbot.key import identity
    from reviewbot.report import page
    from reviewbot.report.reply import replay_id
    from reviewbot.review import Options, review

    reviews, kernels = {}, dict[str, str]()
    for one in results:
        case = one.case
        key = identity(case.suspect.series)
        if key not in reviews:
            reviews[key] = review(case.suspect.series, Options(tree=str(case.tree), base=case.suspect.base))
        if case.verdict:
            replay = replay_id(key, case.verdict.finding)
            kernels[replay] = "\n\n".join(filter(None, [kernels.get(replay), one.report]))
    page.write(list(reviews.values()), file, kernels)


def _say(words: str) -> None:
    click.secho(words, dim=True, err=True)


def _keep(found: Reproduction, folder: Path | None) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for side in (found.guilty, found.control):
        for number, one in enumerate(side.boots, 1):
            (folder / f"{found.driver.name}-{side.side.value}-{number}.txt").write_bytes(one.text)
