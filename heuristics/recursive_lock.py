"""A task takes a lock that it holds.

Why it hangs
    The kernel's mutexes, spinlocks and write-locked semaphores are not recursive: the second call waits for the first
    owner, which is the caller itself. A reader that comes to a semaphore again waits behind a writer that came meanwhile,
    and that one for the reader.
Reported when
    the patch takes a lock (or calls something that does) with the same lock of the same object held, by the function or
    by its callers, and the program read off the code waits for itself in the simulator. Which object it is say the
    arguments of all calls between, or the patch itself: what takes the lock around a call is called in place of it, with
    the same arguments.
Not reported
    The same lock of another object; trylocks; a lock that is dropped before, also by a callee; read after read
    where the arguments do not prove that it is the same object, or nobody writes.
Known gaps
    Objects that are the same by way of a list or a table.
"""

from reviewbot.replay.circles import Circle, CircleRule, Words, asks, read_only, words
from reviewbot.rule import Lock, name_of


class RecursiveLock(CircleRule):
    """See the head of the file."""

    id = "recursive-lock"
    guarantee = "no circle of waits"
    checked = "the order of locks"
    needs = (Lock,)
    kinds = frozenset({"self"})

    def message(self, circle: Circle) -> str:
        does = asks(circle.klass, words(circle.lock))
        return f"{circle.holder.function}() {does}{' as one of them' if read_only(circle.klass) else ' again'}"

    def words(self, circle: Circle) -> Words:
        lock = words(circle.lock)
        inside = circle.ends.function if circle.ends else circle.holder.function
        takes = f"{asks(circle.klass)}{'' if read_only(circle.klass) else ' again'}"
        called = name_of(circle.holder.down[0]) if circle.holder.down else circle.holder.function
        again = takes if called == circle.holder.function else f"calls {called}(), which {takes}"
        where = "" if inside in (called, circle.holder.function) else f", in {inside}()"
        mine = circle.taken_by in ("", circle.holder.function)
        over = "it" if mine else f"{circle.holder.function}() is called, and that"
        alone = circle.writer is None and (circle.mode != "r" or read_only(circle.klass))
        return Words(
            claim=f"{circle.holder.function if mine else circle.taken_by}() holds {lock} when {over} {again}{where}.",
            setting="One task is enough:" if alone else "For example:",
            contrast=f"If {lock} were not held at that call this could not happen.",
        )

    def remedy(self, circle: Circle) -> str:
        return ""
