"""What scopes call on entry and on every way out."""

from __future__ import annotations

from csource_ways import unit, walk, ways

from reviewbot.csource.ir import CallEvent, Function, Jump, Name, Return
from reviewbot.csource.lower import lower


def test_guard_ends_with_its_scope() -> None:
    assert ways("{ guard(mutex)(&s->lock); a(); } b();") == {
        "enter mutex_lock(&s->lock) a() leave mutex_unlock(&s->lock) b() return"
    }


def test_guards_end_in_reverse_on_return_after_the_value() -> None:
    assert ways("guard(rcu)(); guard(spinlock_irqsave)(&s->l); if (n) return a(); b();") == {
        "enter rcu_read_lock() enter spin_lock_irqsave(&s->l) [n] a() leave spin_unlock_irqrestore(&s->l) "
        "leave rcu_read_unlock() return a()",
        "enter rcu_read_lock() enter spin_lock_irqsave(&s->l) [!n] b() leave spin_unlock_irqrestore(&s->l) "
        "leave rcu_read_unlock() return",
    }


def test_goto_leaves_the_guards_that_its_label_is_not_under() -> None:
    body = "guard(mutex)(&s->a); { guard(mutex)(&s->b); if (n) goto out; } a(); out: b();"
    assert ways(body) == {
        "enter mutex_lock(&s->a) enter mutex_lock(&s->b) [n] leave mutex_unlock(&s->b) b() "
        "leave mutex_unlock(&s->a) return",
        "enter mutex_lock(&s->a) enter mutex_lock(&s->b) [!n] leave mutex_unlock(&s->b) a() b() "
        "leave mutex_unlock(&s->a) return",
    }


def test_goto_back_over_a_guard_leaves_it() -> None:
    assert ways("again: a(); guard(mutex)(&s->a); if (n) goto again;") == {
        "a() enter mutex_lock(&s->a) [n] leave mutex_unlock(&s->a) again",
        "a() enter mutex_lock(&s->a) [!n] leave mutex_unlock(&s->a) return",
    }


def test_break_and_continue_leave_the_guards_of_the_loop() -> None:
    body = "guard(mutex)(&s->a); while (n) { guard(mutex)(&s->b); if (a()) break; if (b()) continue; c(); }"
    assert ways(body) == {
        "enter mutex_lock(&s->a) [n] enter mutex_lock(&s->b) a() [a()] leave mutex_unlock(&s->b) "
        "leave mutex_unlock(&s->a) return",
        "enter mutex_lock(&s->a) [n] enter mutex_lock(&s->b) a() [!a()] b() [b()] leave mutex_unlock(&s->b) again",
        "enter mutex_lock(&s->a) [n] enter mutex_lock(&s->b) a() [!a()] b() [!b()] c() leave mutex_unlock(&s->b) again",
        "enter mutex_lock(&s->a) [!n] leave mutex_unlock(&s->a) return",
    }


def test_scoped_guard() -> None:
    assert ways("scoped_guard(mutex, &s->lock) { if (n) return; if (s) break; a(); } b();") == {
        "enter mutex_lock(&s->lock) [n] leave mutex_unlock(&s->lock) return",
        "enter mutex_lock(&s->lock) [!n] [s] leave mutex_unlock(&s->lock) b() return",
        "enter mutex_lock(&s->lock) [!n] [!s] a() leave mutex_unlock(&s->lock) b() return",
    }
    assert ways("scoped_guard(rcu)\n\ta();\nb();") == {"enter rcu_read_lock() a() leave rcu_read_unlock() b() return"}


def test_conditional_scoped_guard() -> None:
    assert ways("scoped_guard(mutex_try, &s->lock) { a(); } b();") == {
        "enter mutex_trylock(&s->lock) [mutex_trylock(&s->lock)] a() leave mutex_unlock(&s->lock) b() return",
        "enter mutex_trylock(&s->lock) [!mutex_trylock(&s->lock)] b() return",
    }
    lock = "mutex_lock_interruptible(&s->lock)"
    assert ways("scoped_cond_guard(mutex_intr, return -EINTR, &s->lock) { a(); } b();") == {
        f"enter {lock} [!{lock}] a() leave mutex_unlock(&s->lock) b() return",
        f"enter {lock} [{lock}] return -EINTR",
    }
    assert ways("while (n) { scoped_cond_guard(mutex_intr, continue, &s->lock) a(); b(); }") == {
        f"[n] enter {lock} [!{lock}] a() leave mutex_unlock(&s->lock) b() again",
        f"[n] enter {lock} [{lock}] again",
        "[!n] return",
    }
    assert ways("scoped_cond_guard(mutex_intr, goto out, &s->lock) { a(); } b(); out: c();") == {
        f"enter {lock} [!{lock}] a() leave mutex_unlock(&s->lock) b() c() return",
        f"enter {lock} [{lock}] c() return",
    }


def test_variables_that_are_freed_at_the_end_of_their_scope() -> None:
    assert ways("struct a *x __free(kfree) = g(); if (!x) return; b(x);") == {
        "g() x = g() [!x] leave kfree(x) return",
        "g() x = g() [x] b(x) leave kfree(x) return",
    }
    assert ways("int fd __cleanup(put_it) = g();") == {"g() fd = g() leave put_it(&fd) return"}


def test_classes() -> None:
    assert ways("CLASS(fd, f)(n); a(f);") == {
        "enter class_fd_constructor(n) f = class_fd_constructor(n) a(f) leave class_fd_destructor(f) return"
    }


def test_a_class_defined_in_the_file_is_a_pseudo_function() -> None:
    found = unit("DEFINE_GUARD(thing, struct thing *, thing_lock(_T), thing_unlock(_T))\nint x;")
    calls = {
        f.name: [e.call.callee for b in f.blocks for e in b.events if isinstance(e, CallEvent)] for f in found.functions
    }
    assert calls == {"class_thing_constructor": ["thing_lock"], "class_thing_destructor": ["thing_unlock"]}
    assert all(f.macro and not f.unreadable for f in found.functions)


# --- macros ----------------------------------------------------------------------------------------------------------


def macro(text: str) -> Function:
    (made,) = lower(text.encode()).functions
    assert made.macro
    return made


def test_a_macro_that_leaves_its_user() -> None:
    made = macro("#define LOCK_OR_FAIL(x) \\\n\tif (try_it(x)) { \\\n\t\treturn -EIO; \\\n\t}\n")
    assert {" ".join(way) for way in walk(made)} == {"try_it(x) [try_it(x)] return -EIO", "try_it(x) [!try_it(x)]"}
    assert [e.line for b in made.blocks for e in b.events if isinstance(e, Return)] == [3]
    made = macro("#define CHECK(x) do { if (bad(x)) goto out; if (worse(x)) break; } while (0)\n")
    assert [e for b in made.blocks for e in b.events if isinstance(e, Jump)] == [Jump("out", 1)]
    made = macro("#define SKIP(x) if (bad(x)) continue\n")
    assert [e for b in made.blocks for e in b.events if isinstance(e, Jump)] == [Jump("continue", 1)]


def test_a_macro_that_is_a_value() -> None:
    made = macro("#define wait_it(a, b...) ({ int __r = do_wait(a); __r; })\n")
    assert [p.name for p in made.parameters] == ["a", "b"]
    assert made.value == Name("__r")
    assert {" ".join(way) for way in walk(made)} == {"do_wait(a) __r = do_wait(a)"}
    assert {" ".join(way) for way in walk(macro("#define lock_it(x) mutex_lock(&(x)->lock)\n"))} == {
        "mutex_lock(&x->lock)"
    }


def test_an_empty_macro_is_known_to_do_nothing() -> None:
    made = macro("#define nothing(x)\n")
    assert (made.unreadable, len(made.blocks), made.blocks[0].events) == (False, 1, ())


def test_a_macro_that_makes_names_is_left_out() -> None:
    assert lower(b"#define MAKE(x) void x##_f(void) { g(); }\n").functions == ()


def test_a_macro_that_cannot_be_read_says_so() -> None:
    assert macro("#define ODD(x) if (f(x)) { \n").unreadable
