"""What is known of the real tree, looked up by hand once: the facts say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reviewbot.analysis.events.kinds import Client, Gate, Link, Reserve, Wait, Workqueue
from reviewbot.analysis.program import programs
from reviewbot.analysis.program.program import Program
from reviewbot.gittree.source import FolderSource


@pytest.fixture(scope="module")
def md(kernel_tree: Callable[..., Path]) -> Program:
    return programs.around(FolderSource(kernel_tree("6.12", small=True)), ["drivers/md/dm.c"])


def test_a_workqueue_of_each_device_with_its_rescuer(md: Program) -> None:
    (made,) = (f for f in md.facts(["drivers/md/dm-verity-target.c"])[Workqueue])
    assert made.object == "dm_verity.verify_wq"
    assert made.flags == ("WQ_HIGHPRI", "WQ_MEM_RECLAIM")


def test_a_reserve_and_a_client_of_each_device(md: Program) -> None:
    found = md.facts(["drivers/md/dm-verity-target.c"])
    assert ("dm_verity.recheck_pool", 1) in {(f.pool, f.number) for f in found[Reserve] if not f.drop}
    assert "dm_verity.io" in {f.object for f in found[Client] if f.klass == "dm_io_client"}
    assert ("dm_io_request.client", "dm_verity.io") in {(f.slot, f.object) for f in found[Link]}


def test_the_gate_of_an_eviction(md: Program) -> None:
    gates = [f for f in md.facts(["drivers/md/dm-bufio.c"])[Gate] if "__GFP_FS" in f.condition]
    assert "select_for_evict" in {f.function for f in gates}


def test_a_lock_with_two_faces(md: Program) -> None:
    assert md.locksets.faces["dm_bufio_client.lock"] == "mutex/spin"


def test_a_throttle_that_drops_the_lock_of_its_caller(md: Program) -> None:
    key = "drivers/md/dm-snap.c:do_origin"
    waits = {e.object: r.dropped for e, r in md.does(key).items() if e.kind == "wait" and e.detail == "sleep"}
    assert waits["dm_snapshot.in_progress_wait"] == {"drivers/md/dm-snap.c:_origins_lock"}


def test_a_reserve_by_a_macro(md: Program) -> None:
    pools = [f for f in md.facts(["drivers/md/dm-kcopyd.c"])[Reserve] if f.pool == "dm_kcopyd_client.job_pool"]
    assert pools[0].count == "MIN_JOBS"
    assert pools[0].number == 8


def test_work_that_io_waits_for(md: Program) -> None:
    items = {(s.work, s.workqueue) for s in md.served()}
    assert ("mapped_device.work", "mapped_device.wq") in items
    assert ("dm_verity_io.work", "dm_verity.verify_wq") in items


def test_a_sleep_has_its_predicate(md: Program) -> None:
    (sleep,) = (f for f in md.own_facts("drivers/md/dm-snap.c:wait_for_in_progress") if isinstance(f, Wait) and f.io)
    assert "dm_snapshot.in_progress" in sleep.reads
