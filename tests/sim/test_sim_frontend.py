"""Models as Python functions, and the same models built step by step: one program, one automaton."""

from __future__ import annotations

import msgspec
import pytest
from sim_models import run, told

from reviewbot.sim.check import check
from reviewbot.sim.compile import compile_model
from reviewbot.sim.explore import SearchLimits, explore
from reviewbot.sim.model import (
    BREAK,
    CONTINUE,
    RETURN,
    TRUE,
    BoundName,
    Completion,
    Either,
    Goto,
    Graph,
    If,
    Interrupt,
    Model,
    ModelError,
    Mutex,
    Named,
    Node,
    Semaphore,
    Seq,
    Task,
    Unbalanced,
    Var,
    While,
    WorkQueue,
    atomic_inc,
    choice,
    complete,
    down,
    memalloc_noio_save,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    program,
    queue_work,
    reached,
    say,
    start_io,
    task,
    up,
    wait_for_completion,
    wait_until,
)
from reviewbot.types import Place


class Device(msgspec.Struct, frozen=True, eq=False):
    name: str
    lock: Mutex
    busy: Var
    lower: Device | None = None

    def __str__(self) -> str:
        return self.name


def device(name: str, lower: Device | None = None) -> Device:
    return Device(name, Mutex(f"lock of {name}"), Var(f"busy of {name}"), lower)


@program(file="drivers/block/example.c", title="the map function of {device}")
def example_map(device: Device, then: BoundName) -> None:
    """What a driver does: its lock, then the device below, then the callback."""
    mutex_lock(device.lock)
    device.busy += 1
    if device.lower is None:  # static: decided while the model is built
        start_io(DISK, then)
    else:
        below = device.lower
        example_map(below, then)
    device.busy -= 1
    mutex_unlock(device.lock)


DISK = Interrupt("disk")


def test_a_stack_of_devices_is_recursion_over_static_arguments() -> None:
    done = Completion("done")
    stack = device("upper", device("middle", device("lower")))

    @program
    def end_io() -> None:
        complete(done)

    @task()
    def submitter() -> None:
        example_map(stack, end_io())
        wait_for_completion(done)

    result = run(submitter, reachable=["submitter", "end_io"])
    assert result.outcome == "free"
    automaton = compile_model(Model("test", (submitter,), ("submitter",)))
    first = automaton.classes[0].edges[0][0].act
    assert first.text == "takes lock of upper"
    assert first.at == Place("drivers/block/example.c", 0, "example_map")
    assert example_map(stack, end_io()).title == "the map function of upper"


def test_titles_without_one_given() -> None:
    @program
    def work(device: Device, then: BoundName) -> None:
        pass

    assert work(device("d"), example_map(device("e"), None)).title == "work(d)"
    assert str(work) == "work"


def test_conditions_are_static_or_part_of_the_program() -> None:
    count, flag = Var("count"), Var("flag")

    @program
    def body(static_flag: bool) -> None:
        if static_flag and count > 0:
            reached("and")
        if static_flag or count > 0:
            reached("or")
        if not (count > 0 or flag == 1) and not static_flag:
            reached("never and static")
        if not flag:
            reached("not")
        for name in ("one", "two"):
            reached(name)
        while static_flag and not count:
            atomic_inc(count)
        if not mutex_trylock(lock):
            reached("fails")

    lock = Mutex("lock")

    @task(n=2)
    def true() -> None:
        body(True)

    @task()
    def false() -> None:
        body(False)

    marks = ["and", "or", "not", "one", "two", "fails"]
    assert run(true, reachable=marks).outcome == "free"
    assert run(true, reachable=["never and static"]).outcome == "vacuous"
    assert run(false, reachable=["never and static"]).outcome == "free"


def test_loops() -> None:
    count, sem = Var("count"), Semaphore("sem", 3)

    @task()
    def looper() -> None:
        while True:
            down(sem)
            atomic_inc(count)
            if count == 1:
                continue
            if count == 2:
                reached("two")
                break
            reached("not reached")
        while count > 0 and choice_is_static():
            return
        reached("end")

    assert run(looper, reachable=["two", "end"]).outcome == "free"
    assert run(looper, reachable=["not reached"]).outcome == "vacuous"


def test_expressions_with_functions_inside_see_the_names_around() -> None:
    devices = [device("one"), device("two")]

    @task()
    def walker() -> None:
        prefix = "at "
        for name in [prefix + d.name for d in devices if any(e is d for e in devices)]:
            reached(name)

    assert run(walker, reachable=["at one", "at two"]).outcome == "free"


def choice_is_static() -> bool:
    return False


def wrong_models():
    count, lock = Var("count"), Mutex("lock")

    @task()
    def not_a_step() -> None:
        len("abc")

    @task()
    def dynamic_value() -> None:
        value = count > 0
        say(str(value))

    @task()
    def dynamic_loop() -> None:
        for _ in count:  # type: ignore[attr-defined]
            say("x")

    @task()
    def two_steps_in_one_condition() -> None:
        if mutex_trylock(lock) and choice():
            say("x")

    @task()
    def a_value_returned() -> None:
        return 1  # type: ignore[return-value]

    @task()
    def with_statement() -> None:
        with open("x"):
            pass

    @task()
    def break_out_of_for() -> None:
        for _ in (1, 2):
            break

    @task()
    def counts_a_number() -> None:
        number = 1
        number += 1

    return [
        (not_a_step, "not a step"),
        (dynamic_value, "only known in a state"),
        (dynamic_loop, "not iterable"),
        (two_steps_in_one_condition, "the whole condition"),
        (a_value_returned, "cannot say this"),
        (with_statement, "cannot say this"),
        (break_out_of_for, "need a while loop"),
        (counts_a_number, "only a Var"),
    ]


@pytest.mark.parametrize(("wrong", "message"), wrong_models(), ids=lambda x: getattr(x, "name", None))
def test_what_a_model_cannot_say(wrong: Task, message: str) -> None:
    with pytest.raises((ModelError, TypeError), match=message):
        compile_model(Model("test", (wrong,), ("x",)))


def test_arguments_are_given_by_position_and_all_of_them() -> None:
    @program
    def body(one: int) -> None:
        say(str(one))

    with pytest.raises(ModelError, match="by position"):
        body(one=1)
    with pytest.raises(ModelError, match="takes 1 arguments, not 2"):
        body(1, 2).body()  # type: ignore[call-arg]


# --- built step by step ----------------------------------------------------------------------------------------------


def spaces_of(*models: Model) -> list[tuple[int, int]]:
    found = []
    for model in models:
        space = explore(compile_model(model), SearchLimits(), reduce=False)
        found.append((len(space.order), len(space.targets)))
    return found


def test_a_built_model_is_the_written_one() -> None:
    lock, done, queue = Mutex("lock"), Completion("done"), WorkQueue("queue")

    @program
    def work() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)
        complete(done)

    @task()
    def caller() -> None:
        while choice():
            if mutex_trylock(lock):
                mutex_unlock(lock)
        queue_work(queue, work())
        mutex_lock(lock)
        wait_for_completion(done)
        mutex_unlock(lock)

    at = Place("drivers/md/example.c", 12, "caller")
    built_work = Named("work", Seq((mutex_lock(lock), mutex_unlock(lock), complete(done))))
    built = Named(
        "caller",
        Seq(
            (
                While(choice(), If(mutex_trylock(lock), mutex_unlock(lock))),
                queue_work(queue, built_work),
                mutex_lock(lock).at(at),
                wait_for_completion(done).at(at).says("waits for its own work"),
                mutex_unlock(lock),
            )
        ),
    )
    written = Model("written", (caller,), ("caller",))
    made = Model("built", (Task("caller", built),), ("caller",))
    first, second = spaces_of(written, made)
    assert first == second
    assert check(written).keys == check(made).keys != frozenset()
    trace = check(made).trace
    assert trace is not None
    assert [(s.step, s.file, s.line) for s in trace.steps if s.task == "caller"][-2:] == [
        ("takes lock", "drivers/md/example.c", 12),
        ("blocks in wait_for_completion(&done)", "drivers/md/example.c", 12),
    ]


def test_a_flow_graph_is_the_loop_that_it_draws() -> None:
    count, sem = Var("count"), Semaphore("sem", 1)
    loop = Seq((While(count < 3, Seq((down(sem), atomic_inc(count), up(sem)))), reached("end")))
    graph = Graph(
        "head",
        {
            "head": If(count < 3, Goto("body"), Goto("out")),
            "body": Seq((down(sem), atomic_inc(count), up(sem), Goto("head"))),
            "out": Seq((reached("end"), RETURN)),
        },
    )

    def model(body: Node) -> Model:
        return Model("test", (Task("t", Named("t", body), 2),), ("end", "t"))

    first, second = spaces_of(model(loop), model(graph))
    assert first == second
    assert check(model(graph)).outcome == "free"


def test_leaving_loops_routines_and_graphs() -> None:
    inner = Named("inner", Seq((reached("in"), RETURN, reached("after return"))))
    nested = Graph("a", {"a": Graph("b", {"b": Goto("c"), "c": reached("inner graph")}), "unused": reached("no")})
    body = Seq(
        (
            inner,
            nested,
            While(TRUE, Either((Seq((say("again"), CONTINUE, reached("after continue"))), Seq((say("out"), BREAK))))),
            reached("end"),
        )
    )

    def reaches(mark: str) -> str:
        return check(Model("test", (Task("t", Named("t", body)),), (mark,))).outcome

    assert [reaches(mark) for mark in ("in", "inner graph", "end", "t")] == ["free"] * 4
    assert [reaches(mark) for mark in ("after return", "after continue", "no")] == ["vacuous"] * 3


def test_programs_that_cannot_be_compiled() -> None:
    endless = Named("endless", lambda: Seq((say("x"), endless, say("y"))))
    scopes = Named("scopes", While(TRUE, memalloc_noio_save()))
    wrong = [
        (Seq((BREAK,)), "break outside of a loop"),
        (Seq((CONTINUE,)), "continue outside of a loop"),
        (Goto("x"), "outside of a graph"),
        (Graph("a", {"a": Goto("b")}), "no such block"),
        (While(TRUE, Seq()), "without a step"),
        (endless, "without end"),
        (scopes, "more than 16 scopes"),
    ]
    for node, message in wrong:
        with pytest.raises(ModelError, match=message):
            compile_model(Model("test", (Task("t", Named("t", node)),), ("t",)))
    with pytest.raises(ModelError, match="the same name"):
        compile_model(Model("test", (Task("t", endless), Task("t", endless)), ("t",)))
    with pytest.raises(Unbalanced, match="ends inside of noio"):
        compile_model(Model("test", (Task("t", Named("t", memalloc_noio_save())),), ("t",)))


def test_words_of_the_model_win() -> None:
    lock = Mutex("lock")

    @task()
    def caller() -> None:
        mutex_lock(lock).says("takes the lock that it will need again")
        wait_until(Var("never") > 0, "what never comes").says("goes on")

    result = check(Model("test", (caller,), ("caller",)))
    assert result.outcome == "vacuous"

    @task()
    def other() -> None:
        mutex_lock(lock).says("takes the lock that it will need again")
        reached("there")
        mutex_lock(lock)

    assert told(check(Model("test", (other,), ("there",))))[0] == "other: takes the lock that it will need again"
