"""Sleeping for something that another task does: completions, wait queues, counters and flags, free choice."""

from __future__ import annotations

from typing import Self

from reviewbot.sim.program import (
    TRUE,
    Act,
    All,
    Attempt,
    Cell,
    Cmp,
    Here,
    Local,
    Locals,
    ModelError,
    Node,
    ProgramStep,
    Resource,
    Seq,
    Test,
    Update,
    While,
    argument,
)


class Var(Resource, frozen=True, eq=False):
    """A counter or flag of the code, 0 to 127. Comparing it gives a condition: `if s.in_progress >= limit:`."""

    init: int = 0

    @property
    def cell(self) -> Cell:
        """Its value."""
        return Cell(self, "value", init=self.init)

    def __lt__(self, other: int | Var) -> Test:
        return Cmp(self.cell, "<", _operand(other))

    def __le__(self, other: int | Var) -> Test:
        return Cmp(self.cell, "<=", _operand(other))

    def __gt__(self, other: int | Var) -> Test:
        return Cmp(self.cell, ">", _operand(other))

    def __ge__(self, other: int | Var) -> Test:
        return Cmp(self.cell, ">=", _operand(other))

    def __eq__(self, other: int | Var) -> Test:  # type: ignore[override]
        return Cmp(self.cell, "==", _operand(other))

    def __ne__(self, other: int | Var) -> Test:  # type: ignore[override]
        return Cmp(self.cell, "!=", _operand(other))

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        raise ModelError(f"{self.name} was used as a plain value; it is only known in a state of the model")

    def __iadd__(self, value: int) -> Self:
        raise ModelError(f"`{self.name} += {value}` outside of a program")

    def __isub__(self, value: int) -> Self:
        raise ModelError(f"`{self.name} -= {value}` outside of a program")

    def asked(self, role: str, act: Act) -> str:
        return f"make {act.waits or act.when}"


def _operand(other: object) -> int | Cell:
    if isinstance(other, Var):
        return other.cell
    if isinstance(other, int):
        return int(other)
    raise ModelError(f"a counter can be compared with a number or a counter, not with {other!r}")


def atomic_add(value: int, var: Var) -> Node:
    """atomic_add(), atomic_inc(), atomic_sub() and `counter += n` under a lock that is not part of the model."""
    sign = "+=" if value >= 0 else "-="
    return ProgramStep((Act(do=(var.cell.add(value),), text=f"does {var} {sign} {abs(value)}", on=var),))


def atomic_inc(var: Var) -> Node:
    """atomic_inc()."""
    return atomic_add(1, var)


def atomic_dec(var: Var) -> Node:
    """atomic_dec(); below 0 the model is unbalanced and the search inconclusive."""
    return atomic_add(-1, var)


def atomic_set(var: Var, value: int) -> Node:
    """atomic_set(), WRITE_ONCE(): `var = value`."""
    return ProgramStep((Act(do=(var.cell.set(value),), text=f"sets {var} = {value}", on=var),))


def atomic_dec_and_test(var: Var) -> Attempt:
    """atomic_dec_and_test(): one less, true where it became 0. For `if`."""
    less, text = var.cell.sub(), f"calls atomic_dec_and_test({var}), which"
    return Attempt(
        (Act(var == 1, (less,), f"{text} is true", on=var),), (Act(var != 1, (less,), f"{text} is false", on=var),)
    )


def set_bit(flag: Var) -> Node:
    """set_bit()."""
    return ProgramStep((Act(do=(flag.cell.set(1),), text=f"sets {flag}", on=flag),))


def clear_bit(flag: Var) -> Node:
    """clear_bit()."""
    return ProgramStep((Act(do=(flag.cell.set(0),), text=f"clears {flag}", on=flag),))


def test_and_set_bit(flag: Var) -> Attempt:
    """test_and_set_bit(): sets it, true where it was set before. For `if`."""
    text = f"calls test_and_set_bit({flag}), which"
    return Attempt(
        (Act(flag != 0, text=f"{text} is true", on=flag),),
        (Act(flag == 0, (flag.cell.set(1),), f"{text} is false", on=flag),),
    )


test_and_set_bit.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def choice() -> Attempt:
    """Either way, whatever decides it lies outside of the model. For `if` and `while`."""
    return Attempt()


def say(text: str) -> Node:
    """Nothing happens; the trace tells the text."""
    return ProgramStep((Act(text=text),))


def reached(mark: str) -> Node:
    """Nothing happens; the mark counts as reached (Model.reachable)."""
    return ProgramStep((Act(mark=mark),))


# --- completions -----------------------------------------------------------------------------------------------------


class Completion(Resource, frozen=True, eq=False):
    """struct completion (kernel/sched/completion.c), and every other "it is done": a bio's end_io, a buffer's bit.

    One for each wait site and class of tasks: two classes that share one steal each other's completions, which the
    code does not if each waits for an object of its own.
    """

    @property
    def done(self) -> Cell:
        """How many may still pass."""
        return Cell(self, "done")

    @property
    def all_done(self) -> Cell:
        """1 after complete_all()."""
        return Cell(self, "done for all")

    def asked(self, role: str, act: Act) -> str:
        if any(sign in self.name for sign in (" == ", " != ", " < ", " > ", " <= ", " >= ")):
            return f"make {self}"
        ways = (verb for call, verb in ENDED.items() if act.call.startswith(call))
        return f"{next(ways, 'complete')} {self}"


ENDED = {
    **dict.fromkeys(
        ("wait_event", "schedule", "io_schedule", "wait_on", "swait_event", "wake", "io_wait_event"), "wake up"
    ),
    **dict.fromkeys(("flush", "cancel", "drain", "destroy", "del_timer", "timer_", "kthread_"), "finish"),
}
"""What ends a sleep in a call that begins so; all others are completed."""


def complete(what: Completion) -> Node:
    """complete(): lets one waiter go, now or later."""
    return ProgramStep((Act(do=(what.done.add(),), text=f"completes {what}", on=what),))


def complete_all(what: Completion) -> Node:
    """complete_all(): lets all waiters go, now and later, until it is set up anew."""
    return ProgramStep((Act(do=(what.all_done.set(1),), text=f"completes {what} for all", on=what),))


def reinit_completion(what: Completion) -> Node:
    """reinit_completion(): not done any more."""
    undo = (what.done.set(0), what.all_done.set(0))
    return ProgramStep((Act(do=undo, text=f"calls reinit_completion({argument(what)})", on=what),))


def wait_for_completion(what: Completion) -> Node:
    """wait_for_completion(), _io, _killable: sleeps until it is done."""
    call = f"wait_for_completion({argument(what)})"
    text = f"sees {what} completed"
    return ProgramStep(
        (
            Act(what.all_done > 0, (), text, call, str(what), what),
            Act(All((what.all_done.is_(0), what.done > 0)), (what.done.sub(),), text, call, str(what), what),
        )
    )


def try_wait_for_completion(what: Completion) -> Attempt:
    """try_wait_for_completion(). For `if`."""
    text = f"calls try_wait_for_completion({what}), which"
    done = All((what.all_done.is_(0), what.done > 0))
    return Attempt(
        (Act(what.all_done > 0, text=f"{text} is true", on=what), Act(done, (what.done.sub(),), f"{text} is true")),
        (Act(All((what.all_done.is_(0), what.done.is_(0))), text=f"{text} is false", on=what),),
    )


# --- wait queues -----------------------------------------------------------------------------------------------------


class WaitQueue(Resource, frozen=True, eq=False):
    """wait_queue_head_t (kernel/sched/wait.c): sleepers that only a wake-up makes look at their condition again.

    Each wait site has two cells: how many sleep there, and how many were woken and have not run yet. So a change of
    the condition without a wake-up, or with one that came too early, leaves the sleeper asleep.
    """

    def asleep(self, site: object) -> Cell:
        """How many sleep at the site."""
        return Cell(self, "asleep", str(site))

    def woken(self, site: object) -> Cell:
        """How many of the site were woken and have not run yet."""
        return Cell(self, "woken", str(site))

    def asked(self, role: str, act: Act) -> str:
        return f"wake up {act.waits.removeprefix(WAKE_UP)}"


WAKE_UP = "a wake-up on "


def _site(here: Here, exclusive: bool) -> str:
    return f"{here.task}:{here.site}{':exclusive' if exclusive else ''}"


def prepare_to_wait(queue: WaitQueue, *, site: str) -> Node:
    """prepare_to_wait(): counts as asleep from here on; `site` names the pair with schedule() and finish_wait()."""
    return Local(lambda here: (here.me, ProgramStep((Act(do=(queue.asleep(f"{here.task}:{site}").add(),)),))))


def schedule(queue: WaitQueue, *, site: str) -> Node:
    """schedule() after prepare_to_wait(): returns once a wake-up came since."""
    return Local(
        lambda here: (here.me, ProgramStep((_wake_act(queue, f"{here.task}:{site}", "schedule()", str(queue)),)))
    )


def finish_wait(queue: WaitQueue, *, site: str) -> Node:
    """finish_wait() without a schedule() since prepare_to_wait(): not asleep any more."""

    def meaning(here: Here) -> tuple[Locals, Node]:
        asleep, woken = queue.asleep(f"{here.task}:{site}"), queue.woken(f"{here.task}:{site}")
        return here.me, ProgramStep((Act(asleep > 0, (asleep.sub(),)), Act(asleep.is_(0), (woken.drop(),))))

    return Local(meaning)


def _wake_act(queue: WaitQueue, site: str, call: str, waits: str, idle: bool = False) -> Act:
    woken = queue.woken(site)
    return Act(woken > 0, (woken.sub(),), "is woken", call, waits, queue, idle=idle)


def _wait(queue: WaitQueue, test: Test, call: str, exclusive: bool = False, idle: bool = False) -> Node:
    def meaning(here: Here) -> tuple[Locals, Node]:
        site = _site(here, exclusive)
        words = f"{WAKE_UP}{queue} once {test}"
        # prepare_to_wait() comes before the test in the kernel's macro, so testing and falling asleep are one step.
        sees = Attempt(
            (Act(~test, (queue.asleep(site).add(),), f"sees {~test} in {call} and sleeps", on=queue),),
            (Act(test, (), f"sees {test} in {call}", on=queue),),
        )
        return here.me, While(sees, ProgramStep((_wake_act(queue, site, call, words, idle),)))

    return Local(meaning)


def wait_event(queue: WaitQueue, test: Test) -> Node:
    """wait_event(): tests the condition, sleeps while it is false, and tests it again after each wake-up."""
    return _wait(queue, test, f"wait_event({queue})")


def wait_event_exclusive(queue: WaitQueue, test: Test) -> Node:
    """wait_event_exclusive(): as wait_event(), but wake_up() wakes only one of those that sleep this way."""
    return _wait(queue, test, f"wait_event_exclusive({queue})", exclusive=True)


def wait_event_idle(queue: WaitQueue, test: Test) -> Node:
    """wait_event_idle(), and the sleep at the top of a kernel thread: whoever sleeps here is at home, not stuck."""
    return _wait(queue, test, f"wait_event_idle({queue})", idle=True)


def wait_until(test: Test, what: str = "") -> Node:
    """A sleep whose wake-up is known to be right: goes on once the condition holds. `what` names what it waits for."""
    call = f"waits until {test}"
    return ProgramStep((Act(test, (), f"sees {test}", call, what or str(test), _owner(test)),))


def _owner(test: Test) -> Resource | None:
    return test.cell.owner if isinstance(test, Cmp) else None


def wake_up(queue: WaitQueue) -> Node:
    """wake_up(): wakes all that sleep there, and one of those that sleep exclusively."""
    return ProgramStep((Act(TRUE, (Update(queue.asleep("*"), "wake", 1),), f"wakes {queue}", on=queue),))


def wake_up_all(queue: WaitQueue) -> Node:
    """wake_up_all(): wakes all, exclusive or not."""
    return ProgramStep((Act(TRUE, (Update(queue.asleep("*"), "wake", 0),), f"wakes all of {queue}", on=queue),))


def nothing() -> Node:
    """No step at all: for a branch of a program that does nothing."""
    return Seq()
