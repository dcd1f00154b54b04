"""`reviewbot simulate`: run a model by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.models.scene import SceneModel
    from reviewbot.sim.check import SearchResult

EXIT = {"free": 0, "stuck": 1, "vacuous": 3, "inconclusive": 3}


@click.command()
@click.argument("words", nargs=-1, metavar="MODEL [KEY=VALUE]...")
@click.option("--list", "list_", is_flag=True, help="Show the models, or those given, with parameters and defaults.")
@click.option("--states", type=click.IntRange(1), default=1_000_000, help="Give up after so many states.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=60.0, help="Give up after so long.")
@click.option(
    "--through", multiple=True, metavar="NAME", help="The deadlock has to pass through this resource or task."
)
@click.option("--unreduced", is_flag=True, help="Search without reductions.")
@click.option("--promela", is_flag=True, help="Print the model for SPIN instead of running it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
def simulate(
    words: tuple[str, ...],
    list_: bool,
    states: int,
    seconds: float,
    through: tuple[str, ...],
    unreduced: bool,
    promela: bool,
    as_json: bool,
) -> int:
    """Run a model and print the shortest schedule into a deadlock, or that there is none.

    Exit codes: 0 free of deadlock, 1 stuck, 2 wrong use, 3 inconclusive (a limit was hit, or the model proves nothing).
    """
    from reviewbot.models.scene import find, scenes, settings
    from reviewbot.sim.check import SearchLimits, check

    if list_ or not words:
        for scene in [find(w) for w in words] or scenes().values():
            click.echo(_described(scene))
        return 0
    scene = find(words[0])
    values = scene.values(settings(list(words[1:])))
    model = scene.build(values)
    if promela:
        from reviewbot.sim.compile import compile_model
        from reviewbot.sim.promela import promela as written

        click.echo(written(compile_model(model)), nl=False)
        return 0
    limits = SearchLimits(states=states, seconds=seconds)
    result = check(model, limits, through or None, reduce=not unreduced)
    spec = scene.spec(values)
    click.echo(_json(spec, result) if as_json else _text(spec, result))
    return EXIT[result.outcome]


def _described(scene: SceneModel) -> str:
    from reviewbot.models.scene import written

    lines = [click.style(scene.name, bold=True), f"  {scene.doc}"]
    for p in scene.parameters:
        default = written(p.default)
        choices = {"choice": f"  ({p.takes})", "yes/no": "  (yes or no)"}.get(p.kind, "")
        lines.append(f"    {p.name}={_quoted(default)}{choices}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _text(spec: str, result: SearchResult) -> str:
    from reviewbot.report.reply import fill
    from reviewbot.report.schedule import knot, schedule
    from reviewbot.text import clean, clean_lines

    head = f"{result.outcome}: {clean(spec)} ({result.states} states)"
    if result.trace is None:
        return f"{head}\n{clean(result.reason)}" if result.reason else head
    return f"{head}\n\n{clean_lines(schedule(result.trace))}\n\n{fill(knot(result.trace))}"


def _json(spec: str, result: SearchResult) -> str:
    import msgspec

    trace = msgspec.to_builtins(result.trace) if result.trace else {"steps": [], "knot": []}
    value = {
        "model": spec,
        "outcome": result.outcome,
        "states": result.states,
        "reason": result.reason or None,
        "trace": trace["steps"],
        "knot": trace["knot"],
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
