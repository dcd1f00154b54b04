"""Scenes by name: what a verdict, a rule and the command line write, read back."""

from __future__ import annotations

import shlex
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.limits import MAX_PARAMETER
from reviewbot.models.scene import Parameter, SceneModel, build, find, parse, scenes, settings
from reviewbot.types import ReviewError, Setting

SCENES = [*scenes().values()]


def values_of(parameter: Parameter) -> st.SearchStrategy[Setting]:
    match parameter.kind:
        case "yes/no":
            return st.booleans()
        case "number":
            return st.integers(0, MAX_PARAMETER)
        case "choice":
            return st.sampled_from(parameter.choices)
    return st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def scene_and_values(draw: st.DrawFn) -> tuple[SceneModel, dict[str, Setting]]:
    scene = draw(st.sampled_from(SCENES))
    chosen = draw(st.lists(st.sampled_from(scene.parameters), unique_by=lambda p: p.name))
    return scene, {p.name: draw(values_of(p)) for p in chosen}


@given(scene_and_values())
def test_what_is_written_is_read_back(case: tuple[SceneModel, dict[str, Setting]]) -> None:
    scene, values = case
    found, read = parse(scene.spec(values))
    default = {p.name: p.default for p in scene.parameters}
    assert found is scene
    assert {**default, **read} == {**default, **values}


@given(st.text())
def test_any_text_is_a_model_or_refused(text: str) -> None:
    with suppress(ReviewError):
        parse(text)


def test_a_value_may_hold_what_a_shell_would_take_apart() -> None:
    spec = find("lock_order").spec({"lock": '&f->lock; it\'s "$x"', "reversed": True})
    assert shlex.split(spec)[0] == "lock_order"
    assert parse(spec)[1] == {"lock": '&f->lock; it\'s "$x"', "reversed": True}


def test_defaults_are_left_out() -> None:
    assert find("verity_pools").spec({"recheck_pool": "device", "depth": 2}) == "verity_pools"


@pytest.mark.parametrize("name", ["{", "}", "{0}", "a{b}c", "{one}", "%s", "\\"])
def test_names_with_braces_are_told_as_they_are(name: str) -> None:
    from reviewbot.sim.check import check

    values: dict[str, Setting] = {"reversed": True, "lock": f"&x{name}->lock", "function": f"f{name}"}
    trace = check(find("lock_order").build(values)).trace
    assert trace is not None
    assert any(w.task == f"f{name}" for w in trace.knot)
    assert any(w.waits_for == f"&x{name}->lock" for w in trace.knot)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no model given"),
        ("verity_pool", "there is no model `verity_pool`: verity_pools"),
        ("verity_pools depth", "`depth` is no parameter: write key=value"),
        ("verity_pools depth=2 depth=3", "depth is given twice: 2 and 3"),
        ("verity_pools deep=2", "verity_pools has no parameter `deep`: it has recheck_pool, "),
        ("verity_pools depth=-1", "depth=-1: depth takes a number from 0 to 64"),
        ("verity_pools depth=1000", "depth=1000: depth takes a number from 0 to 64"),
        ("verity_pools recheck_pool=mine", "recheck_pool takes device or shared"),
        ("verity_writeback rescuer=maybe", "rescuer takes yes or no"),
        ("verity_pools pool='", "is no model: No closing quotation"),
    ],
)
def test_errors_say_what_to_do(text: str, words: str) -> None:
    with pytest.raises(ReviewError) as error:
        build(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_keep_an_equals_sign_in_the_value() -> None:
    assert settings(["event=a == b"]) == {"event": "a == b"}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_scene_says_what_it_is(scene: SceneModel) -> None:
    assert scene.doc.endswith(".")
    assert len(scene.doc) <= 120
    assert len({p.name for p in scene.parameters}) == len(scene.parameters)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "seqlock"}, "kind takes mutex, "),
        ({"reversed": "yes"}, "reversed takes yes or no"),
        ({"locks": "a"}, "lock_order has no parameter `locks`"),
    ],
)
def test_a_rule_that_gives_a_wrong_value_is_told(values: dict[str, Setting], words: str) -> None:
    with pytest.raises(ReviewError, match=words):
        find("lock_order").build(values)


def test_two_tasks_may_run_one_function() -> None:
    from reviewbot.sim.check import check

    names: dict[str, Setting] = {"reversed": True, "function": "foo_map", "other_function": "foo_map"}
    trace = check(find("lock_order").build(names)).trace
    assert trace is not None
    assert {w.task for w in trace.knot} == {"foo_map()", "foo_map() in another task"}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_all_names_may_be_the_same(scene: SceneModel) -> None:
    """Whatever the reader's objects are called, a scene can be built; only its numbers and switches decide."""
    from reviewbot.sim.check import check

    same: dict[str, Setting] = {p.name: "foo" for p in scene.parameters if p.kind == "text"}
    assert check(scene.build(same)).outcome == "free"
