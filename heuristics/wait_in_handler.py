"""A handler waits for its own end, or for something that waits for its end.

Why it hangs
    cancel_work_sync(), flush_work(), flush_workqueue(), del_timer_sync(), kthread_stop() return when the handler has
    returned. Called by that very handler, at the end of whatever calls, they never do. So it is where two handlers wait
    for each other, where one waits for an item that an ordered queue runs after it, and where it sleeps until a task
    wakes it that waits for the handler first. Who removes a file of sysfs waits for those who read or write it.
Reported when
    the patch lets code that a work item, timer or thread runs wait for that item, its queue, its thread; lets code that
    shows or stores an attribute remove it, or take the lock with which the core of the kernel does; lets either wait for
    what only comes after its end; or takes away the guard by which code asks whether it is the very run that it waits
    for; and the programs get stuck in the simulator.
Not reported
    The item of another object, or of one that is looked up; code that asks which work it is run by, or tests what the
    handler has noted; cancelling without waiting.
Known gaps
    Handlers that come back to themselves through another subsystem; objects that point to each other.
"""

from reviewbot.replay.circles import Circle, CircleRule, Words, name, words
from reviewbot.rule import KERNEL, Flush, name_of


class WaitInHandler(CircleRule):
    """See the head of the file."""

    id = "wait-in-handler"
    guarantee = "no circle of waits"
    checked = "handlers that wait for handlers"
    needs = (Flush,)
    kinds = frozenset({"self", "lock", "completion", "event", "removal"})
    classes = frozenset(KERNEL.resources)

    def message(self, circle: Circle) -> str:
        root, what = name(circle.holder), words(circle.object)
        if circle.kind == "self":
            return f"{root} waits for its own end"
        if circle.kind == "removal":
            return f"{root} takes {what}, with which {KERNEL.removals[circle.object].by}() waits for its end"
        if circle.kind == "lock":
            return f"{root} waits for {name(circle.providers[0])}, which waits for {root} to finish"
        return f"{root} waits for {what}, which comes only after its end"

    def words(self, circle: Circle) -> Words:
        root, what = name(circle.holder), words(circle.object)
        inside = name_of(circle.ends.key) if circle.ends else circle.holder.function
        by = f" calls {inside}(), which" if inside != name_of(circle.holder.root) else ""
        if circle.kind == "self":
            end = f"waits for {what} to finish, and that is {root} itself"
            if circle.detail == "workqueue":
                end = f"waits until {what} is empty, and {root} is run by an item on {what}"
            elif circle.detail == "attribute":
                end = f"waits until nobody uses {words(circle.lock)} any more, and {root} does"
            elif circle.object != circle.lock:
                end = f"waits for {what}, which {words(circle.lock)} runs only when {root} has returned"
            return Words(
                claim=f"{root}{by} {end}.",
                setting="One task is enough:",
                contrast=f"If {root} did not wait there this could not happen.",
            )
        if circle.kind == "removal":
            file, other = words(circle.lock), f"{KERNEL.removals[circle.object].by}()"
            return Words(
                claim=f"{root}{by or ' takes'} {'takes ' if by else ''}{what}, and {other} has {what} while it waits until "
                f"nobody uses {file} any more, as {root} does.",
                setting="Suppose that both run at once:",
                contrast=f"If {root} only tried to get {what}, and gave up otherwise, this could not happen.",
            )
        if circle.kind == "lock":
            other = name(circle.providers[0])
            return Words(
                claim=f"{root}{by} waits for {other} to finish, and {other} waits for {root} to finish.",
                setting="Suppose that both run at once:",
                contrast="If one of them did not wait for the other this could not happen.",
            )
        other = name(circle.providers[0])
        return Words(
            claim=f"{root}{by} sleeps on {what}. It is woken by {other}, which waits for {root} to finish before that.",
            setting="For example:",
            contrast=f"If {other} woke it first this could not happen.",
        )

    def remedy(self, circle: Circle) -> str:
        return ""
