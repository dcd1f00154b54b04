"""Numbers that a caller hands down and that rule a branch out: flags, states; each with its twin that comes there."""

from __future__ import annotations

import pytest
from small import program

from reviewbot.analysis.code.constants import Constants
from reviewbot.analysis.program.program import Program
from reviewbot.function_key import key_of

FILE = "drivers/md/small.c"
KINDS = """
enum ask {
	ASK_LOUD = 1 << 0,	/* the first */
	ASK_ALONE = 1 << 1,
	ASK_WAIT = 0x4U,
	ASK_ORDERED = ASK_ALONE + ASK_WAIT,
#ifdef CONFIG_LATE
	ASK_LATE = 1 << 5,
#endif
	ASK_AFTER,
};
enum turn { TURN_NEW, TURN_ON, TURN_OFF = 7, TURN_GONE, TURN_BACK = -TURN_GONE, TURN_NEXT };
#define ASK_ODD		(1 << 3)
#define ASK_ODD_TOO	(ASK_ODD | BIT(4))
#define ASK_ALL		(~ASK_ODD & 0xff)
#ifdef CONFIG_LARGE
#define ASK_SIZE	64
#else
#define ASK_SIZE	32
#endif
#define ASK_ITSELF	(ASK_ITSELF + 1)
#define ASK_WIDE	(1 << 900)
#define ASK_WORD	"ask"
#define TURN(kind, how)	((struct turned) { .kind = 1 }), ((struct turned) { .kind = how })
"""


def worth(name: str) -> int | None:
    made = program(KINDS)
    return Constants(made.names).named(name, FILE)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ASK_LOUD", 1),
        ("ASK_WAIT", 4),
        ("ASK_ORDERED", 6),
        ("ASK_LATE", None),
        ("ASK_AFTER", None),
        ("TURN_NEW", 0),
        ("TURN_ON", 1),
        ("TURN_GONE", 8),
        ("TURN_NEXT", -7),
        ("ASK_ODD_TOO", 24),
        ("ASK_ALL", 0xF7),
        ("ASK_SIZE", None),
        ("ASK_ITSELF", None),
        ("ASK_WIDE", None),
        ("ASK_WORD", None),
        ("ASK_NOBODY", None),
    ],
)
def test_what_a_constant_is_worth(name: str, number: int | None) -> None:
    assert worth(name) == number


def test_the_constant_of_the_file_itself_counts_before_those_of_others() -> None:
    made = program("enum { ONE = 1 };", **{"drivers/md/a.h": "#define ONE 3\n", "drivers/md/b.h": "#define TWO 2\n"})
    constants = Constants(made.names)
    for again in (constants, Constants(made.names)):
        assert [again.named(name, FILE) for name in ("ONE", "TWO")] == [1, 2]
    twice = program("", **{"drivers/md/a.h": "#define ONE 3\n", "drivers/md/b.h": "#define ONE 2\n"})
    assert Constants(twice.names).named("ONE", FILE) is None


def comes(made: Program, *names: str) -> bool:
    """Whether a run can go down a chain of functions to where the last of them waits."""
    last = key_of(FILE, names[-1])
    return made.contexts.goes(tuple(key_of(FILE, n) for n in names), {f.at.line for f in made.own_facts(last)})


@pytest.mark.parametrize(
    ("when", "handed", "there"),
    [
        ("how & ASK_ALONE", "ASK_LOUD + ASK_WAIT", False),
        ("how & ASK_ALONE", "ASK_LOUD + ASK_ORDERED", True),
        ("how & (ASK_ALONE | ASK_LOUD)", "ASK_WAIT", False),
        ("how & (ASK_ALONE | ASK_WAIT)", "ASK_WAIT", True),
        ("!(how & ASK_WAIT)", "ASK_ORDERED", False),
        ("!(how & ASK_LOUD)", "ASK_ORDERED", True),
        ("how & ASK_ODD_TOO", "ASK_ORDERED", False),
        ("how & ASK_ODD_TOO", "ASK_ODD", True),
        ("how & ASK_LATE", "ASK_WAIT", True),
        ("how == TURN_GONE", "TURN_OFF", False),
        ("how == TURN_GONE", "TURN_GONE", True),
        ("how != TURN_GONE", "TURN_GONE", False),
        ("how > TURN_ON", "TURN_NEW", False),
        ("how > TURN_ON", "TURN_GONE", True),
        ("how == TURN_ON || how == TURN_GONE", "TURN_OFF", False),
        ("how == TURN_ON || how == TURN_GONE", "TURN_GONE", True),
        ("how == TURN_ON || d->flag", "TURN_OFF", True),
        ("how > TURN_ON", "TURN_BACK", True),
        ("how == -7", "TURN_BACK", False),
        ("how & ASK_ALONE", "d->count", True),
        ("how & ASK_ALONE", "ASK_WAIT | d->count", True),
    ],
)
def test_a_number_rules_out_what_it_does_not_ask_for(when: str, handed: str, there: bool) -> None:
    made = program(f"""{KINDS}
static void turn(struct dev *d, unsigned int how)
{{
	if ({when})
		msleep(1);
	how |= ASK_ORDERED | ASK_LOUD;
	how = TURN_GONE;
}}
static void pass(struct dev *d, unsigned int how) {{ turn(d, how); }}
void stop(struct dev *d) {{ pass(d, {handed}); }}
""")
    assert comes(made, "stop", "pass", "turn") is there


def test_each_case_of_a_switch_asks_for_its_number() -> None:
    text = """
static void turn(struct dev *d, enum turn how)
{{
	switch (how) {{
	case TURN_NEW:
	case TURN_ON:
		d->count = 1;
		break;
	case TURN_GONE:
		msleep(1);
		break;
	}}
}}
void stop(struct dev *d) {{ turn(d, {0}); }}
"""
    assert [comes(program(KINDS + text.format(how)), "stop", "turn") for how in ("TURN_ON", "TURN_GONE")] == [
        False,
        True,
    ]


@pytest.mark.parametrize("sets", ["how |= ASK_WAIT;", "ask(d, &how);", "if (d->flag) how = d->count;"])
def test_a_parameter_is_what_it_was_handed_until_it_is_set(sets: str) -> None:
    made = program(f"""{KINDS}
static void early(struct dev *d, unsigned int how)
{{
	if (d->count)
		how = 0;
	{sets}
	if (how & ASK_WAIT)
		msleep(1);
}}
static void late(struct dev *d, unsigned int how)
{{
	if (how & ASK_WAIT)
		msleep(1);
	{sets}
}}
static void round(struct dev *d, unsigned int how)
{{
	while (d->flag) {{
		if (how & ASK_WAIT)
			msleep(1);
		{sets}
	}}
}}
static void handing(struct dev *d, unsigned int how) {{ {sets} late(d, how); }}
void stop(struct dev *d) {{ early(d, ASK_LOUD); late(d, ASK_LOUD); round(d, ASK_LOUD); handing(d, ASK_LOUD); }}
""")
    ways = [("stop", "early"), ("stop", "round"), ("stop", "handing", "late"), ("stop", "late")]
    assert [comes(made, *way) for way in ways] == [True, True, True, False]


@pytest.mark.parametrize(
    ("arguments", "there"),
    [("TURN(speed, 3), ASK_LOUD", False), ("TURN(speed, 3), ASK_WAIT", True), ("ASK_LOUD", True)],
)
def test_a_macro_that_stands_for_several_arguments_moves_none(arguments: str, there: bool) -> None:
    made = program(f"""{KINDS}
struct turned {{ int speed; }};
static void turn(struct dev *d, struct turned mask, struct turned value, unsigned int how)
{{
	if (how & ASK_WAIT)
		msleep(1);
}}
void stop(struct dev *d) {{ turn(d, {arguments}); }}
""")
    assert comes(made, "stop", "turn") is there


def test_a_local_is_no_constant() -> None:
    made = program(f"""{KINDS}
static void turn(struct dev *d, int how) {{ if (how == TURN_GONE) msleep(1); }}
void stop(struct dev *d) {{ int TURN_OFF = d->count; turn(d, TURN_OFF); }}
""")
    assert comes(made, "stop", "turn")


def test_a_longer_way_by_the_same_functions_is_a_context_where_a_constant_rules_out_the_shorter_one() -> None:
    text = """
struct work_struct {{ int x; }};
enum how {{ HOW_GET, HOW_READ }};
static void fresh(struct dev *d) {{ d->count++; }}
static void find(struct dev *d, enum how how) {{ if (how == HOW_READ) fresh(d); }}
static void get(struct dev *d) {{ find(d, HOW_GET); }}
static void read(struct dev *d) {{ find(d, {how}); }}
static void again(struct dev *d) {{ read(d); }}
static void runs(struct work_struct *w)
{{
	struct dev *d = (struct dev *)w;

	get(d);
	again(d);
}}
void start(struct work_struct *w) {{ INIT_WORK(w, runs); }}
"""

    def contexts(how: str) -> list[tuple[str, tuple[str, ...]]]:
        found = program(text.format(how=how)).contexts.of(key_of(FILE, "fresh"))
        return [(one.context, tuple(key.split(":")[1] for key in one.chain)) for one in found]

    assert contexts("HOW_READ") == [("work", ("runs", "again", "read", "find", "fresh"))]
    assert contexts("HOW_GET") == []
