"""Names that kernel/api.toml knows, and whose bodies are at hand."""

from __future__ import annotations

from small import program

FILE = "drivers/md/small.c"


def test_what_is_said_of_a_name_does_not_hide_its_body() -> None:
    found = program("""
struct dm_kcopyd_client *dm_kcopyd_client_create(struct dev *d)
{
	mutex_lock(&d->lock);
	msleep(5);
	mutex_unlock(&d->lock);
	return 0;
}
void f(struct dev *d) { d->count = dm_kcopyd_client_create(d) != 0; }
""")
    assert {(e.kind, e.object) for e in found.does(f"{FILE}:f")} >= {("lock", "dev.lock"), ("wait", "")}


def test_a_search_ends_at_what_stands_for_all_below() -> None:
    found = program("""
void flush_work(struct dev *d) { mutex_lock(&d->lock); mutex_unlock(&d->lock); }
void f(struct dev *d) { flush_work(d); }
""")
    assert {e.kind for e in found.does(f"{FILE}:f")} == {"flush"}
