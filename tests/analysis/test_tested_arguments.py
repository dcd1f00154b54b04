"""What a caller has tested of an argument before the call, and what rules out in the callee; each with its twin."""

from __future__ import annotations

import pytest
from small import program

from reviewbot.function_key import key_of

FILE = "drivers/md/small.c"
TURN = """
static int fill(struct dev *d, struct dev *spare)
{
	if (!spare)
		msleep(1);
	return 0;
}
"""


@pytest.mark.parametrize(
    ("before", "there"),
    [
        ("struct dev *spare = ask(d); if (!spare) return;", False),
        ("struct dev *spare; spare = ask(d); if (spare == NULL) goto out;", False),
        ("struct dev *spare = ask(d);", True),
        ("struct dev *spare = ask(d); if (!d) return;", True),
        ("struct dev *spare = ask(d); if (spare) return;", True),
        ("struct dev *spare = ask(d); if (!spare) return; spare = ask(d);", True),
        ("struct dev *spare = ask(d); if (!spare) return; get(d, &spare);", True),
        ("struct dev *spare = ask(d); if (d->flag && !spare) return;", True),
    ],
)
def test_a_pointer_that_was_tested_is_there(before: str, there: bool) -> None:
    made = program(f"""{TURN}
void stop(struct dev *d)
{{
	{before}
	fill(d, spare);
out:
	return;
}}
""")
    chain = tuple(key_of(FILE, name) for name in ("stop", "fill"))
    assert made.contexts.goes(chain, {f.at.line for f in made.own_facts(chain[-1])}) is there


def test_a_loop_that_sets_it_before_each_test() -> None:
    made = program(f"""{TURN}
void stop(struct dev *d)
{{
	while (d->count) {{
		struct dev *spare = ask(d);
		if (!spare)
			return;
		fill(d, spare);
	}}
}}
""")
    chain = tuple(key_of(FILE, name) for name in ("stop", "fill"))
    assert not made.contexts.goes(chain, {f.at.line for f in made.own_facts(chain[-1])})
