"""current->bio_list, its depth-first order, and the rescuer of a bio set."""

from __future__ import annotations

import pytest
from sim_models import circle, run, told

from reviewbot.sim.model import (
    BioSet,
    BoundName,
    Completion,
    Interrupt,
    Var,
    atomic_inc,
    atomic_set,
    bio_alloc_bioset,
    bio_put,
    complete,
    program,
    reached,
    start_io,
    submit_bio,
    task,
    wait_for_completion,
)


@pytest.mark.parametrize(("inside", "outcome"), [(True, "stuck"), (False, "free")])
def test_a_bio_waits_on_the_list_until_submit_bio_returns(inside: bool, outcome: str) -> None:
    done = Completion("lower bio")

    @program
    def lower_map() -> None:
        complete(done)

    @program
    def upper_map() -> None:
        reached("mapped")
        submit_bio(lower_map(), "lower")
        if inside:
            wait_for_completion(done)

    @task()
    def submitter() -> None:
        submit_bio(upper_map(), "upper")
        if not inside:
            wait_for_completion(done)

    result = run(submitter, reachable=["mapped"])
    assert result.outcome == outcome
    if inside:
        assert told(result) == [
            "submitter: leaves the bio for lower_map on current->bio_list",
            "submitter: blocks in wait_for_completion(lower bio)",
        ]
        assert circle(result) == [("submitter", "lower bio", "submitter")]


def test_bios_for_devices_below_go_first_and_older_ones_last() -> None:
    """split_map() leaves its own second half, then a bio for below: the one for below goes first, then the half."""
    step = Var("step")

    @program
    def expect(before: int) -> None:
        if step == before:
            atomic_inc(step)
        else:
            reached("out of order")

    @program
    def bottom_map(before: int) -> None:
        expect(before)

    @program
    def half_map(before: int) -> None:
        expect(before)
        submit_bio(bottom_map(before + 1), "bottom")

    @program
    def top_map() -> None:
        submit_bio(half_map(2), "middle")  # submitted first, for the same device as the next one
        submit_bio(half_map(4), "middle")

    @program
    def split_map() -> None:
        expect(0)
        submit_bio(half_map(2), "top")  # the rest of the bio, for the same device
        submit_bio(bottom_map(1), "bottom")

    @task()
    def submitter() -> None:
        submit_bio(split_map(), "top")
        if step == 4:
            reached("all in order")
        atomic_set(step, 2)
        submit_bio(top_map(), "top")
        if step == 6:
            reached("both in order")

    assert run(submitter, reachable=["all in order", "both in order"]).outcome == "free"
    assert run(submitter, reachable=["out of order"]).outcome == "vacuous"


def two_of_one_set(*, rescuer: bool, size: int = 1, other_set: bool = False):
    """->map allocates a bio, submits it, and allocates another one from the set before it returns."""
    pool = BioSet("fs_bio_set", size, rescuer=rescuer)
    pool_of_first = BioSet("other set", 1, rescuer=rescuer) if other_set else pool
    disk = Interrupt("disk")

    @program
    def end_io(owner: BioSet) -> None:
        bio_put(owner)

    @program
    def disk_map(owner: BioSet) -> None:
        start_io(disk, end_io(owner))

    @program
    def stacked_map() -> None:
        bio_alloc_bioset(pool)
        submit_bio(disk_map(pool), "disk", pool_of_first)
        bio_alloc_bioset(pool)
        submit_bio(disk_map(pool), "disk", pool_of_first)

    @task()
    def submitter() -> None:
        reached("submits")
        submit_bio(stacked_map(), "stacked")

    return run(submitter, reachable=["submits"])


@pytest.mark.parametrize(
    ("rescuer", "size", "other_set", "outcome"),
    [
        (False, 1, False, "stuck"),
        (True, 1, False, "free"),
        (False, 2, False, "free"),
        (True, 1, True, "stuck"),
    ],
)
def test_the_rescuer_takes_bios_of_its_own_set_only(rescuer: bool, size: int, other_set: bool, outcome: str) -> None:
    result = two_of_one_set(rescuer=rescuer, size=size, other_set=other_set)
    assert result.outcome == outcome
    if outcome == "stuck":
        assert told(result)[-1] == "submitter: blocks in bio_alloc_bioset(&fs_bio_set)"


def test_returning_from_submit_bio_lets_the_list_go_down() -> None:
    @program
    def lower_map() -> None:
        reached("went down")

    @program
    def upper_map(then: BoundName) -> None:
        submit_bio(then, "lower")
        return

    @task()
    def submitter() -> None:
        submit_bio(upper_map(lower_map()), "upper")

    assert run(submitter, reachable=["went down"]).outcome == "free"
