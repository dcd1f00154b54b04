"""`reviewbot simulate`: what it prints, and its exit codes."""

from __future__ import annotations

import json

import msgspec
import pytest

from reviewbot.cli import run
from reviewbot.models.scene import scenes
from reviewbot.types import KnotEdge, Step


def test_a_deadlock_is_told_with_its_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "verity_pools", "recheck_pool=shared", "pool=&verity_pool"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("stuck: verity_pools recheck_pool=shared 'pool=&verity_pool' (")
    assert "\n1. writeback writes to the snapshot, hands the chunk to kcopyd in" in out
    assert "takes the last page with" in out
    assert out.rstrip().endswith("- deadlock.")


def test_the_kernel_as_it_is_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "verity_pools"]) == 0
    assert capsys.readouterr().out.startswith("free: verity_pools (")


def test_a_limit_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "verity_pools", "--states", "10"]) == 3
    out = capsys.readouterr().out
    assert out.startswith("inconclusive: verity_pools (")
    assert "10 states" in out.splitlines()[1]


def test_a_knot_elsewhere_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "lock_order", "reversed=yes", "--through", "&drv->lock"]) == 1
    assert run(["simulate", "lock_order", "reversed=yes", "--through", "something else"]) == 3
    assert "not through something else" in capsys.readouterr().out


def test_without_reductions_there_are_more_states(capsys: pytest.CaptureFixture[str]) -> None:
    def states(*options: str) -> int:
        assert run(["simulate", "verity_writeback", "--json", *options]) == 0
        return int(json.loads(capsys.readouterr().out)["states"])

    assert states("--unreduced") > states()


def test_json_is_all_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "lock_order", "reversed=yes", "lock=&f->lock", "--json"]) == 1
    out = json.loads(capsys.readouterr().out)
    assert out["model"] == "lock_order reversed=yes 'lock=&f->lock'"
    assert out["outcome"] == "stuck"
    assert len(msgspec.convert(out["trace"], list[Step])) >= 4
    assert {w.waits_for for w in msgspec.convert(out["knot"], list[KnotEdge])} == {"&f->lock", "&drv->other_lock"}


def test_promela_is_printed_instead(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "lock_order", "--promela"]) == 0
    out = capsys.readouterr().out
    assert "proctype" in out
    assert "init {" in out


def test_list_shows_models_parameters_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--list"]) == 0
    out = capsys.readouterr().out
    for scene in scenes().values():
        assert f"\n{scene.name}\n" in f"\n{out}"
        assert scene.doc in out
    assert "    recheck_pool=device  (device or shared)" in out
    assert "    rescuer=yes  (yes or no)" in out
    assert "    kworkers=2\n" in out


def test_list_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--list", "lock_order"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("lock_order\n")
    assert "verity" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing_like_it"], "there is no model `nothing_like_it`"),
        (["lock_orders"], "lock_order"),
        (["lock_order", "lock"], "write key=value"),
        (["lock_order", "kind=seqlock"], "kind takes mutex, "),
        (["lock_order", "--states", "0"], "--states"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert len(captured.err.strip().splitlines()) == 1
