"""Patches that take one line away, or one word: which places there are, and that a patch is one."""

from __future__ import annotations

import json
from pathlib import Path

from one_line import main, spots

TEXT = """static int __fill(struct bin *b)
{
	return 1;
}

int fill(struct bin *b)
{
	int n;

	mutex_lock(&b->lock);
	n = __fill(b);
	mutex_unlock(&b->lock);
	return n;
}

static void __shake(struct bin *b)
{
}

void shake(struct bin *b)
{
	__shake(b);
}

void empty(struct bin *b)
{
	mutex_lock(&b->lock);
	__fill(b);
	__shake(b);
	if (b->n)
		mutex_unlock(&b->lock);
}
"""


def test_the_places_of_a_file() -> None:
    found = [(s.kind, s.name, s.function, TEXT[s.start : s.end], s.text) for s in spots(TEXT)]
    assert found == [
        ("release", "mutex_unlock", "fill", "\tmutex_unlock(&b->lock);\n", ""),
        ("around", "fill", "empty", "__fill(", "fill("),
    ]


def test_the_patches_are_in_the_index(tmp_path: Path) -> None:
    place = tmp_path / "tree/drivers/md"
    place.mkdir(parents=True)
    (place / "bin.c").write_text(TEXT)
    main([str(tmp_path / "out"), "--tree", f"x={tmp_path / 'tree'}", "--seed", "1", "--by", "name"])
    index = [json.loads(line) for line in (tmp_path / "out/index.jsonl").read_text().splitlines()]
    assert [(one["class"], one["why"], one["files"]) for one in index] == [
        ("release", "fill", ["drivers/md/bin.c"]),
        ("around", "empty", ["drivers/md/bin.c"]),
    ]
    changed = (tmp_path / "out" / index[1]["patch"]).read_text().splitlines()
    assert [line for line in changed if line[:2] in ("+\t", "-\t")] == ["-\t__fill(b);", "+\tfill(b);"]
