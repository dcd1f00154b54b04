"""What a function took many calls below does not make old what it takes at once now."""

from __future__ import annotations

import pytest

from reviewbot.gittree.tree import Tree
from reviewbot.review import examine
from reviewbot.types import Outcome

MD = "drivers/md/dm-mill.c", "struct mill { struct mutex lock; struct mutex table; int turns; };\n"
FS = "fs/ext4/mill.c", "struct mill { struct rw_semaphore lock; struct rw_semaphore table; int turns; };\n"
CALLS = {MD: ("mutex_lock", "mutex_unlock"), FS: ("down_write", "up_write")}
CODE = """\
void mill_run(struct mill *m)
{
	TAKE(&m->table);
	MORE
	mill_1(m);
	GIVE(&m->table);
}

void mill_stop(struct mill *m)
{
	TAKE(&m->lock);
	TAKE(&m->table);
	m->turns = 0;
	GIVE(&m->table);
	GIVE(&m->lock);
}
"""


def outcomes(of: tuple[str, str], calls: int) -> list[Outcome]:
    """What is said of a patch that takes a lock at once that the function took already, so many calls below."""
    path, head = of
    take, give = CALLS[of]
    below = f"static void mill_{calls}(struct mill *m)\n{{\n\tTAKE(&m->lock);\n\tm->turns++;\n\tGIVE(&m->lock);\n}}\n"
    for n in range(calls - 1, 0, -1):
        below += f"static void mill_{n}(struct mill *m)\n{{\n\tmill_{n + 1}(m);\n}}\n"
    text = (head + below + CODE).replace("TAKE", take).replace("GIVE", give)
    old = text.replace("MORE", "m->turns = 1;")
    new = text.replace("MORE", f"{take}(&m->lock);\n\tm->turns = 1;\n\t{give}(&m->lock);")
    with Tree.from_files({path: old.encode()}) as tree:
        change = tree.replace({path: new.encode()})
        found = examine(change, *tree.sources(change))
    return [v.outcome for v in found.verdicts if v.finding.rule == "lock-order"]


@pytest.mark.parametrize("of", [MD, FS])
@pytest.mark.parametrize(("calls", "new"), [(1, False), (4, False), (7, True)])
def test_what_was_taken_far_below_is_not_what_is_taken_at_once(of: tuple[str, str], calls: int, new: bool) -> None:
    assert outcomes(of, calls) == ([Outcome.CONFIRMED] if new else [])
