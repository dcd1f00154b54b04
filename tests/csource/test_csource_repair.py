"""Every rule's example, and what all rules promise: no byte more or less, no line moved."""

from __future__ import annotations

import pytest
from csource_ways import SOUP
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.csource.parse import parse
from reviewbot.csource.repair import RULES, RepairRule, repair
from reviewbot.csource.text import arguments, closing, layers


def by_name(rule: RepairRule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_the_example_of_each_rule(rule: RepairRule) -> None:
    text = layers(rule.before.encode())
    rule.apply(text)
    assert text.code.decode() == rule.after
    assert len(rule.before) == len(rule.after)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.level == 1], ids=by_name)
def test_what_a_rule_made_is_left_alone_by_it(rule: RepairRule) -> None:
    text = layers(rule.after.encode())
    rule.apply(text)
    assert text.code.decode() == rule.after


def test_names_of_rules_are_different_and_documented() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.doc.endswith(".") for rule in RULES)


@settings(max_examples=300, deadline=None)
@given(SOUP)
def test_no_rule_moves_a_line(source: bytes) -> None:
    text = layers(source)
    repair(text)
    lines = [at for at, byte in enumerate(source) if byte == 10]
    assert len(text.code) == len(text.clean) == len(source)
    assert [at for at, byte in enumerate(text.code) if byte == 10] == lines
    assert [at for at, byte in enumerate(text.clean) if byte == 10] == lines


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_can_be_parsed(source: bytes) -> None:
    parsed = parse(source)
    assert len(parsed.text.code) == len(source)
    assert 1 <= parsed.level <= 3


def test_comments_and_strings_hide_what_looks_like_code() -> None:
    text = layers(b'a("} /* ) */", 1); /* " { */ b(\'"\'); // c(\nd();')
    assert bytes(text.code).split() == [b'a("xxxxxxxxx",', b"1);", b"b('x');", b"d();"]
    assert text.clean.startswith(b'a("} /* ) */", 1);')


def test_a_define_may_hold_a_comment_over_several_lines() -> None:
    text = layers(b"#define A 1 + \\\n\t/* two\n\t * lines */ \\\n\t2\nint b;\n")
    assert bytes(text.code).split() == [b"int", b"b;"]
    assert text.directives[0][0] == "define"


def test_an_unterminated_comment_is_not_searched_for_again_and_again() -> None:
    text = layers(b"/* " * 200_000)
    assert not text.code.strip()


def test_arguments_and_closing() -> None:
    code = b"f(a, (b, c), {d, e}, g[h, i])"
    assert [code[start:end].strip() for start, end in arguments(code, 2, len(code) - 1)] == [
        b"a",
        b"(b, c)",
        b"{d, e}",
        b"g[h, i]",
    ]
    assert closing(code, 1) == len(code)
    assert closing(b"((", 0) == -1
    assert arguments(b"f( )", 2, 3) == []


def test_conditionals_are_blanked_only_where_they_hurt() -> None:
    source = b"""
void good(void)
{
#ifdef A
	a();
#else
	b();
#endif
}
void bad(void)
{
#ifdef A
	if (a) {
#else
	if (b) {
#endif
		c();
	}
}
"""
    parsed = parse(source)
    assert (parsed.level, parsed.errors) == (3, 0)
    code = bytes(parsed.text.code)
    assert b"#else" in code.partition(b"bad")[0]
    assert b"#" not in code.partition(b"bad")[2]
    assert b"if (a)" in code
    assert b"if (b)" not in code


def test_both_arms_stay_where_a_conditional_stands_in_a_list() -> None:
    parsed = parse(b"int x[] = {\n#ifdef A\n\t1,\n#else\n\t2,\n#endif\n};\n")
    assert (parsed.level, parsed.errors) == (2, 0)
    assert b"1," in parsed.text.code
    assert b"2," in parsed.text.code
