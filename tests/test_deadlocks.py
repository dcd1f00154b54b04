"""The recipes that plant deadlocks: each finds its place, what it makes can be read, and the twin is another text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from beside import BESIDE, BESIDE_NEEDS
from deadlocks import DEADLOCKS, NEEDS, SourceFile
from planted import drawn, table, write

from reviewbot.csource.lower import lower
from reviewbot.mail import fetch

CODE = b"""
struct dev { int busy; };

static int quill_ink(struct dev *d)
{
	mutex_lock(&d->lock);
	d->busy = 1;
	mutex_unlock(&d->lock);
	return 0;
}

static void quill_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, dry_work);

	mutex_lock(&d->lock);
	d->busy = 0;
	mutex_unlock(&d->lock);
	complete(&d->dried);
}

static int quill_open(struct dev *d)
{
	INIT_WORK(&d->dry_work, quill_work);
	quill_ink(d);
	spin_lock(&d->fast);
	d->page = kmalloc(8, GFP_ATOMIC);
	spin_unlock(&d->fast);
	msleep(1);
	return 0;
}

static void quill_reopen(struct dev *d)
{
	quill_ink(d);
}

static int quill_close(struct dev *d)
{
	d->busy++;
	mutex_lock(&d->lock);
	d->busy = 2;
	mutex_unlock(&d->lock);
	wait_for_completion(&d->dried);
	return 0;
}

void quill_write(struct dev *d)
{
	quill_reopen(d);
	spin_lock_irq(&d->nib);
	d->busy = 6;
	spin_unlock_irq(&d->nib);
}

static void quill_one(struct dev *d)
{
	spin_lock(&d->fast);
	spin_lock(&d->slow);
	d->busy = 3;
	spin_unlock(&d->slow);
	spin_unlock(&d->fast);
}

static void quill_two(struct dev *d)
{
	spin_lock(&d->fast);
	spin_lock(&d->slow);
	d->busy = 4;
	spin_unlock(&d->slow);
	spin_unlock(&d->fast);
}
"""


OTHER = b"""
static irqreturn_t quill_dips(int irq, void *data)
{
	struct dev *d = data;

	spin_lock(&d->nib);
	d->busy = 5;
	spin_unlock(&d->nib);
	return IRQ_HANDLED;
}

static int quill_probe(struct dev *d)
{
	spin_lock(&d->fast);
	quill_close(d);
	quill_write(d);
	spin_unlock(&d->fast);
	return request_irq(d->irq, quill_dips, 0, "quill", d);
}
"""


@pytest.mark.parametrize("operator", [*DEADLOCKS, *BESIDE])
def test_what_is_planted_can_be_read(operator: str) -> None:
    file = SourceFile(CODE)
    assert all(need in CODE for need in (*NEEDS.get(operator, ()), *BESIDE_NEEDS.get(operator, ())))
    made = list(BESIDE[operator](file, [SourceFile(OTHER)]) if operator in BESIDE else DEADLOCKS[operator](file))
    assert made
    for one in made:
        assert one.operator == operator
        assert len({one.before, one.after, one.twin}) == 3
        assert lower(one.after).errors == lower(one.twin).errors == 0


def test_places_are_drawn_from_a_tree_and_written_as_mails(tmp_path: Path) -> None:
    source = tmp_path / "tree/drivers/md/quill.c"
    source.parent.mkdir(parents=True)
    source.write_bytes(CODE)
    places = drawn({"small": tmp_path / "tree"}, ("drivers/md",), ("self flush",), 1, random.Random(1))
    assert write(tmp_path / "out", places) == {"self flush": 1}
    series = fetch.parse((tmp_path / "out/self-flush-001-bad.patch").read_bytes(), "planted")
    assert "quill_work" in series.lead.subject
    assert b"cancel_work_sync" in series.patches[0].diff


def test_the_table_counts_deadlocks_and_twins(tmp_path: Path) -> None:
    (tmp_path / "index.jsonl").write_text("")
    (tmp_path / "result.json").write_text(
        '{"cases": [{"id": "a-bad", "class": "a", "label": "deadlock", "verdict": "nack"},'
        ' {"id": "a-twin", "class": "a", "label": "clean", "verdict": "comment"}]}'
    )
    assert table(tmp_path, show=False).splitlines()[-1].split() == ["all", "1", "0", "1", "0", "1", "0"]
