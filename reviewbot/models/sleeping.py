"""A scene about sleeping: for a completion that is never given."""

from __future__ import annotations

from reviewbot.models.block import called, named, of
from reviewbot.models.reader import task_of
from reviewbot.models.scene import scene
from reviewbot.sim import (
    Completion,
    Model,
    choice,
    complete,
    say,
    wait_for_completion,
)
from reviewbot.sim.program import address


@scene
def completion_missing(
    always: bool = True,
    call: str = "wait_for_completion",
    event: str = "&drv->done",
    function: str = "drv_caller",
    waker: str = "drv_end_io",
    file: str = "",
) -> Model:
    """A task waits for a completion, a reference or a bit that its partner gives, `always` or not on an error path."""
    done = Completion(event)

    @of(file, waker)
    def may_fail() -> None:
        if choice():
            complete(done).says("")
        else:
            say(f"returns without completing {event}")

    @task_of(file, waker)
    def partner() -> None:
        if always:
            complete(done).says("")
        else:
            may_fail()

    @task_of(file, function)
    def sleeper() -> None:
        called(f"{call}({address(event)})", wait_for_completion(done)).says("")

    return Model("completion_missing", (sleeper, partner), reachable=(named(function), named(waker)))
