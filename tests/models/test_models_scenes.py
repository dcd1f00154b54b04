"""Every scene says what it has to say: its verdict, its schedule, and the same with and without reductions."""

from __future__ import annotations

import pytest
from model_golden import FILE, Golden, body, checked, goldens, whole

from reviewbot.models.scene import SceneModel, build, parse, scenes


def spec_of(golden: Golden) -> str:
    return golden.spec


@pytest.mark.parametrize("golden", goldens(), ids=spec_of)
def test_verdict_schedule_and_knot_are_as_told(golden: Golden, request: pytest.FixtureRequest) -> None:
    assert checked(golden.spec).outcome == golden.verdict
    if not request.config.getoption("--bless"):
        assert body(golden.spec) == golden.body


def test_bless(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--bless"):
        pytest.skip("only with --bless")
    blocks = [Golden(g.verdict, g.spec, body(g.spec)) for g in goldens()]
    FILE.write_text("\n\n".join(map(str, blocks)) + "\n")


@pytest.mark.parametrize("golden", goldens(), ids=spec_of)
def test_reductions_change_nothing(golden: Golden) -> None:
    result, everything = checked(golden.spec), whole(golden.spec)
    if everything.outcome == "inconclusive":
        pytest.skip(f"without reductions it has more than {everything.states - 1} states")
    assert (everything.outcome, everything.keys) == (result.outcome, result.keys)


def test_reductions_save_nine_tenths_of_the_states() -> None:
    """What the reductions are for; over scenes of every size, as a small one has little to save."""
    pairs = [(checked(g.spec), whole(g.spec)) for g in goldens()]
    complete = [(few.states, many.states) for few, many in pairs if many.outcome != "inconclusive"]
    assert sum(few for few, _ in complete) * 10 < sum(many for _, many in complete)
    assert all(few <= many for few, many in complete)


@pytest.mark.parametrize("scene", scenes().values(), ids=lambda scene: scene.name)
def test_every_scene_is_there_on_both_sides(scene: SceneModel) -> None:
    mine = [g for g in goldens() if parse(g.spec)[0] is scene]
    assert {g.verdict for g in mine} == {"free", "stuck"}
    assert mine[0].spec == scene.name, "the first block of a scene is the kernel as it is"
    assert mine[0].verdict == "free"


@pytest.mark.parametrize("scene", scenes().values(), ids=lambda scene: scene.name)
def test_every_scene_says_what_must_be_reachable(scene: SceneModel) -> None:
    assert scene.build().reachable


@pytest.mark.parametrize("scene", scenes().values(), ids=lambda scene: scene.name)
def test_choices_and_switches_are_exercised(scene: SceneModel) -> None:
    """Every value of a choice and both sides of a switch occur in some block."""
    given = [parse(g.spec)[1] for g in goldens() if parse(g.spec)[0] is scene]
    for p in scene.parameters:
        if p.kind in ("choice", "yes/no"):
            wanted = set(p.choices) if p.kind == "choice" else {True, False}
            seen = {values.get(p.name, p.default) for values in given}
            assert seen == wanted, f"{scene.name}: no block has {p.name} as {sorted(wanted - seen, key=str)}"


def test_names_of_the_reader_are_told() -> None:
    """Where a schedule has the default name of an object, it has the reader's name for it when that is given."""
    for golden in goldens():
        if golden.verdict == "stuck":
            scene, values = parse(golden.spec)
            names = {p.name: str(p.default) for p in scene.parameters if p.kind == "text" and p.default}
            mine = {name: f"{name}_of_the_reader" for name in names}
            told = str(checked(scene.spec({**values, **mine})).trace)
            assert "drv" not in told, golden.spec
            for name, default in names.items():
                assert default not in golden.body or mine[name] in told, f"{golden.spec}: {name}"


@pytest.mark.parametrize(
    ("spec", "marks"),
    [
        ("verity_writeback", {"writeback", "a work item that allocates memory"}),
        ("verity_readers", {"a work item that reads a file"}),
        ("verity_pools", {"writeback", "verity_work of upper", "verity_work of lower"}),
        ("bufio_shrinker", {"the filesystem", "another task"}),
        ("dm_rescued", {"a flush", "a large write", "another write"}),
        ("offload_levels", {"the writer"}),
        ("snapshot_throttle", {"writer", "snapshot_ctr()"}),
    ],
)
def test_founding_scenes_get_their_work_done(spec: str, marks: set[str]) -> None:
    assert set(build(spec).reachable) == marks
