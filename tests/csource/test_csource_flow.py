"""The flow graph of every construct, as the ways through it."""

from __future__ import annotations

import pytest
from csource_ways import function, unit, ways

from reviewbot.csource.show import event, expression


def test_straight_line() -> None:
    assert ways("a(); b(c(), d());") == {"a() c() d() b(c(), d()) return"}


def test_if_else() -> None:
    assert ways("if (n) a(); else b(); c();") == {"[n] a() c() return", "[!n] b() c() return"}


def test_else_if() -> None:
    assert ways("if (n == 1) a(); else if (n < 3) b();") == {
        "[(n == 1)] a() return",
        "[!(n == 1)] [(n < 3)] b() return",
        "[!(n == 1)] [!(n < 3)] return",
    }


def test_each_branch_tests_one_thing() -> None:
    assert ways("if (n && s->a || s->b) a();") == {
        "[n] [s->a] a() return",
        "[n] [!s->a] [s->b] a() return",
        "[n] [!s->a] [!s->b] return",
        "[!n] [s->b] a() return",
        "[!n] [!s->b] return",
    }
    assert ways("if (!(n && !s->a)) a();") == {"[n] [!s->a] return", "[n] [s->a] a() return", "[!n] a() return"}
    assert ways("while (n && s->a) a();") == {"[n] [s->a] a() again", "[n] [!s->a] return", "[!n] return"}


def test_what_a_condition_calls_is_called_where_it_is_asked_for() -> None:
    assert ways("if (n && b(n)) a();") == {"[n] b(n) [b(n)] a() return", "[n] b(n) [!b(n)] return", "[!n] return"}
    assert ways("if (!a() || b()) c();") == {
        "a() [!a()] c() return",
        "a() [a()] b() [b()] c() return",
        "a() [a()] b() [!b()] return",
    }


def test_comparing_with_nothing_is_a_plain_test() -> None:
    assert ways("if (s == NULL) a();") == {"[!s] a() return", "[s] return"}
    assert ways("if (a(n) != 0) b();") == {"a(n) [a(n)] b() return", "a(n) [!a(n)] return"}


def test_hints_and_warnings_are_their_argument() -> None:
    assert ways("if (unlikely(!n)) a();") == {"[!n] a() return", "[n] return"}
    assert ways("if (WARN_ON_ONCE(b(n))) a();") == {"b(n) [b(n)] a() return", "b(n) [!b(n)] return"}


def test_assignment_as_condition() -> None:
    assert ways("if ((n = a()) < 0) b();") == {
        "a() n = a() [(n < 0)] b() return",
        "a() n = a() [!(n < 0)] return",
    }


def test_short_circuit_as_value() -> None:
    assert ways("n = s && a();") == {"[s] a() [a()] n = 1 return", "[s] a() [!a()] n = 0 return", "[!s] n = 0 return"}
    assert ways("n = s ? a() : b();") == {"[s] a() n = a() return", "[!s] b() n = b() return"}
    assert ways("int x = (s && n) ? a() : 0;") == {
        "[s] [n] a() x = a() return",
        "[s] [!n] x = 0 return",
        "[!s] x = 0 return",
    }
    assert ways("n = s ? 1 : 2;") == {"n = (s ? 1 : 2) return"}
    assert ways("n = a() ?: b();") == {
        "a() [a()] n = (a() ? a() : b()) return",
        "a() [!a()] b() n = (a() ? a() : b()) return",
    }


def test_short_circuit_as_result() -> None:
    assert ways("return s && a(n);") == {
        "[s] a(n) [a(n)] return 1",
        "[s] a(n) [!a(n)] return 0",
        "[!s] return 0",
    }
    assert ways("return s ? a() : b();") == {"[s] a() return a()", "[!s] b() return b()"}
    assert ways("return s && n;") == {"return (s && n)"}


def test_conditional_expression_as_condition() -> None:
    assert ways("if (n ? a() : s->x) b();") == {
        "[n] a() [a()] b() return",
        "[n] a() [!a()] return",
        "[!n] [s->x] b() return",
        "[!n] [!s->x] return",
    }


def test_while_loop() -> None:
    assert ways("while (a(n)) b(); c();") == {"a(n) [a(n)] b() again", "a(n) [!a(n)] c() return"}
    assert [block.loop for block in function("while (n) b();").blocks if block.loop] == ["while"]


def test_endless_loop_with_break_and_continue() -> None:
    assert ways("while (1) { if (n) break; if (s) continue; a(); }") == {
        "[n] return",
        "[!n] [s] again",
        "[!n] [!s] a() again",
    }


def test_for_loop() -> None:
    assert ways("for (int i = 0; i < n; i++) { if (s) continue; a(i); }") == {
        "i = 0 [(i < n)] [s] i += 1 again",
        "i = 0 [(i < n)] [!s] a(i) i += 1 again",
        "i = 0 [!(i < n)] return",
    }
    assert ways("for (;;) if (a()) break;") == {"a() [a()] return", "a() [!a()] again"}


def test_do_while() -> None:
    assert ways("do { a(); if (n) continue; b(); } while (c());") == {
        "a() [n] c() [c()] again",
        "a() [n] c() [!c()] return",
        "a() [!n] b() c() [c()] again",
        "a() [!n] b() c() [!c()] return",
    }
    assert ways("do { a(); if (n) break; b(); } while (0);") == {"a() [n] return", "a() [!n] b() return"}


def test_loop_macro() -> None:
    made = function("list_for_each_entry(p, &s->list, node) { if (p->x) continue; a(p); }", before="")
    (head,) = [block for block in made.blocks if block.loop]
    assert head.loop == "list_for_each_entry"
    assert "list_for_each_entry(p, &s->list, node)" in [event(e) for e in head.events]
    assert [edge.when for edge in head.edges] == [None, None]


def test_a_loop_macro_sets_its_variables() -> None:
    (head,) = [b for b in function("list_for_each_entry_safe(p, q, &s->list, node) a(p);").blocks if b.loop]
    call = "list_for_each_entry_safe(p, q, &s->list, node)"
    assert [event(e) for e in head.events] == [call, f"p = {call}", f"q = {call}"]
    (head,) = [b for b in function("queue_for_each_hw_ctx(s->q, hctx, i) a(hctx);").blocks if b.loop]
    assert [event(e) for e in head.events][1:] == ["hctx = queue_for_each_hw_ctx(s->q, hctx, i)"]


def test_macros_whose_block_runs_once() -> None:
    body = "scoped_with_something()\n\ta();\nb();"
    assert ways(body) == {"enter scoped_with_something() a() leave scoped_with_something() b() return"}


def test_unknown_macro_with_a_block_is_a_loop() -> None:
    (head,) = [block for block in function("walk_all(s, x)\n\ta(x);\nb();").blocks if block.loop]
    assert head.loop == "walk_all"


def test_loop_with_its_test_at_the_end() -> None:
    (head,) = [b for b in function("do_each_thing(a, b) {\n g();\n } while_each_thing(a, b);").blocks if b.loop]
    assert head.loop == "while_each_thing"
    assert ways("do_each_thing(a, b) {\n g();\n } while_each_thing(a, b);") == {
        "g() while_each_thing(a, b) again",
        "g() while_each_thing(a, b) return",
    }
    assert ways("do {\n g();\n } for_each_thing(n, b);") == {
        "g() for_each_thing(n, b) n = for_each_thing(n, b) again",
        "g() for_each_thing(n, b) n = for_each_thing(n, b) return",
    }


def test_a_macro_call_without_a_semicolon_is_a_statement() -> None:
    assert ways("\tif (n)\n\t\tPRINT(s, a(n))\n\telse\n\t\tb();") == {
        "[n] a(n) PRINT(s, a(n)) return",
        "[!n] b() return",
    }
    assert ways("\n\tTRACE(n)\n\ta();\n\t{ b(); C(s) }") == {"TRACE(n) a() b() C(s) return"}


def test_switch_falls_through() -> None:
    assert ways("switch (n) { case 1: a(); fallthrough; case 2 ... 4: b(); break; case 7: case 8: c(); }") == {
        "[(n == 1)] a() b() return",
        "[(n == (2 ... 4))] b() return",
        "[(n == 7)] c() return",
        "[(n == 8)] c() return",
        "[==n] return",
    }


def test_switch_with_default_in_the_middle() -> None:
    assert ways("switch (g(n)) { case 1: a(); break; default: b(); case 2: c(); }") == {
        "g(n) [(g(n) == 1)] a() return",
        "g(n) [==g(n)] b() c() return",
        "g(n) [(g(n) == 2)] c() return",
    }


def test_case_inside_another_statement_belongs_to_the_switch() -> None:
    assert ways("switch (n) { case 1: if (s) { case 2: a(); } b(); }") == {
        "[(n == 1)] [s] a() b() return",
        "[(n == 1)] [!s] b() return",
        "[(n == 2)] a() b() return",
        "[==n] return",
    }


def test_goto_forward_and_backward() -> None:
    assert ways("again: a(); if (n) goto out; if (s) goto again; b(); out: c();") == {
        "a() [n] c() return",
        "a() [!n] [s] again",
        "a() [!n] [!s] b() c() return",
    }


def test_calls_that_do_not_return_end_the_way() -> None:
    assert ways("if (n) panic(s); a();") == {"[n] panic(s)", "[!n] a() return"}


def test_code_that_nothing_reaches_is_dropped() -> None:
    assert ways("return; a();") == {"return"}


def test_statement_expression() -> None:
    assert ways("n = ({ int x = a(); if (!x) goto out; b(x); }); c(); out: d();") == {
        "a() x = a() [!x] d() return",
        "a() x = a() [x] b(x) n = b(x) c() d() return",
    }


def test_conditional_compilation_is_a_choice_that_is_the_same_everywhere() -> None:
    assert ways("\n#ifdef CONFIG_A\na();\n#else\nb();\n#endif\n") == {
        "[#if<CONFIG_A>] a() return",
        "[!#if<CONFIG_A>] b() return",
    }
    assert ways("\n#ifndef CONFIG_A\na();\n#endif\n") == {"[!#if<CONFIG_A>] a() return", "[#if<CONFIG_A>] return"}
    assert ways("\n#if 0\na();\n#endif\nb();") == {"b() return"}


def test_initialisers_are_assignments() -> None:
    body = "struct r r = { .a = g(), .b.c = n, .d = { .e = s } };"
    assert ways(body) == {"r = {} g() r.a = g() r.b.c = n r.d.e = s return"}
    assert ways("struct r r = { 0 };") == {"r = {} return"}
    assert ways("int x[2] = { [0] = n, [1] = 2 };") == {"x = {} x[0] = n x[1] = 2 return"}
    assert ways("*s = (struct s){ .a = n };") == {"*s = {} s->a = n return"}
    assert ways("g(&(struct s){ .a = n });") == {"__literal_1 = {} __literal_1.a = n g(&__literal_1) return"}


def test_stores_and_loads_by_macro() -> None:
    assert ways("WRITE_ONCE(s->x, READ_ONCE(s->y) + 1);") == {"s->x = (s->y + 1) return"}
    assert ways("n++; --n; n |= 4;") == {"n += 1 n -= 1 n |= 4 return"}


def test_one_spelling_of_members() -> None:
    assert ways("g((*s).a, (&s->b)->c, &*s, *&n);") == {"g(s->a, s->b.c, s, n) return"}


def test_calls_through_pointers() -> None:
    (call,) = [e.call for b in function("s->ops->map(n);").blocks for e in b.events if hasattr(e, "call")]
    assert (call.callee, expression(call.target)) == ("", "s->ops->map")
    (call,) = [e.call for b in function("(g)(n);").blocks for e in b.events if hasattr(e, "call")]
    assert (call.callee, call.target) == ("g", None)
    (call,) = [e.call for b in function("int (*g)(int); (*g)(n);").blocks for e in b.events if hasattr(e, "call")]
    assert (call.callee, expression(call.target)) == ("", "g")


def test_containers_are_casts() -> None:
    body = "struct a *p = container_of(s, struct a, m); struct b *q = from_timer(q, t, timer);"
    assert ways(body) == {"p = container_of(s, a, m) q = from_timer(t, b, timer) return"}


def test_names_of_locals_with_two_types_differ() -> None:
    made = function("if (n) { struct a *x = g(); } else { struct b *x = h(); } { struct a *x = g(); }")
    assert [(v.name, v.type.name) for v in made.locals] == [("x", "a"), ("x~2", "b")]
    assert ways("if (n) { struct a *x = g(); } else { struct b *x = h(); i(x); }") == {
        "[n] g() x = g() return",
        "[!n] h() x~2 = h() i(x~2) return",
    }


def test_a_local_that_hides_a_parameter_has_another_name() -> None:
    assert ways("{ int n = 1; g(n); } g(n);") == {"n~2 = 1 g(n~2) g(n) return"}


def test_lines_are_those_of_the_file() -> None:
    made = function("\n\ta(b(),\n\t  c());\n#define X 1\n\treturn;")
    assert (made.line, made.end) == (2, 9)
    assert [e.call.line for b in made.blocks for e in b.events if hasattr(e, "call")] == [5, 6, 5]


@pytest.mark.parametrize("depth", [50, 5000])
@pytest.mark.parametrize("piece", ["(", "{", "if (x) ", "!", "a(", "x = ", "-", "x ? "])
def test_deep_nesting_is_no_crash(piece: str, depth: int) -> None:
    close = {"(": ")", "{": "}", "a(": ")", "x ? ": ": y"}.get(piece, "")
    found = unit(f"void f(void) {{ {piece * depth} x {close * depth}; }}")
    assert found.errors >= 0


def test_a_condition_of_a_directive_may_be_any_expression() -> None:
    asked = "defined(A) ? B == C : defined(D)"
    assert ways(f"\n#if {asked}\na();\n#elif __has_include(<linux/x.h>)\nb();\n#else\nc();\n#endif\n") == {
        f"[#if<{asked}>] a() return",
        f"[!#if<{asked}>] [#if<__has_include(<linux/x.h>)>] b() return",
        f"[!#if<{asked}>] [!#if<__has_include(<linux/x.h>)>] c() return",
    }


def test_a_wrapper_of_a_sleep_is_read_where_it_is_used() -> None:
    """Its condition is the sleep's, and what it runs before is run with the lock dropped, in the order of the macro."""
    wrappers = """
#define wait_barrier_cmd(c, cond, cmd) \\
do { \\
	wait_event_cmd((c)->wait, cond, spin_unlock_irq(&(c)->lock); cmd, spin_lock_irq(&(c)->lock)); \\
} while (0)
#define wait_barrier(c, cond) wait_barrier_cmd(c, cond, NULL_CMD)
"""
    assert ways("wait_barrier_cmd(s, !s->busy, flush(s));", before=wrappers) == {
        "spin_unlock_irq(&s->lock) flush(s) wait_event_cmd(s->wait, !s->busy, <>, <>) spin_lock_irq(&s->lock) return"
    }
    assert ways("wait_barrier(s, !s->busy);", before=wrappers) == {
        "spin_unlock_irq(&s->lock) wait_event_cmd(s->wait, !s->busy, <>, <>) spin_lock_irq(&s->lock) return"
    }


def test_a_statement_that_a_macro_is_given_runs_where_the_macro_has_it() -> None:
    before = """
#define apart(s, what) do { spin_unlock(&(s)->lock); what; spin_lock(&(s)->lock); } while (0)
#define twice(v) do { push(v); push(v); } while (0)
"""
    assert ways("apart(s, flush(s));", before=before) == {"spin_unlock(&s->lock) flush(s) spin_lock(&s->lock) return"}
    assert ways("twice(take(s));", before=before) == {"take(s) twice(take(s)) return"}


def test_a_macro_of_a_header_that_declares_gives_back_what_it_declared() -> None:
    assert ways("BTRFS_PATH_AUTO_FREE(path);\npath = s->path;\nif (look(path)) return;\nuse(path);") == {
        "path = NULL path = s->path look(path) [look(path)] leave btrfs_free_path(path) return",
        "path = NULL path = s->path look(path) [!look(path)] use(path) leave btrfs_free_path(path) return",
    }


def test_a_statement_macro_that_declares_is_read_where_it_is_used() -> None:
    box = "#define BOX(name, v) struct box name = { .n = v, .s = #name }; box_init(&name)"
    made = function("BOX(b, n + 1);\nuse(&b);", before=box)
    assert [(v.name, v.type.name) for v in made.locals] == [("b", "box")]
    assert ways("BOX(b, n + 1);\nuse(&b);", before=box) == {
        'b = {} b.n = (n + 1) b.s = "b" box_init(&b) use(&b) return'
    }


def test_a_macro_that_stands_for_itself_or_is_given_too_much_is_a_call() -> None:
    assert ways("LOOP(n);", before="#define LOOP(x) wait_event(q, LOOP(x))") == {
        "LOOP(n) wait_event(q, LOOP(n)) return"
    }
    assert ways("W(n, 1);", before="#define W(x) wait_event(q, x)") == {"W(n, 1) return"}
