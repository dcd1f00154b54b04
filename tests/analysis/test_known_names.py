"""Names that kernel/api.toml knows, and whose bodies are at hand."""

from __future__ import annotations

from small import program

from reviewbot.analysis.events.kinds import Wait

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


def test_a_function_elsewhere_that_sleeps_is_known_by_name() -> None:
    found = program("""
void f(struct dev *d) { spin_lock(&d->fast); phy_package_join(0); spin_unlock(&d->fast); }
""")
    assert {(e.kind, e.detail) for e in found.does(f"{FILE}:f")} >= {("wait", "reschedule")}
    (wait,) = (fact for fact in found.own_facts(f"{FILE}:f") if isinstance(fact, Wait))
    assert [held.lock for held in wait.held] == ["dev.fast"]


def test_the_body_at_hand_says_whether_it_sleeps() -> None:
    found = program("""
static void phy_package_join(struct dev *d) { d->count = 0; }
void f(struct dev *d) { spin_lock(&d->fast); phy_package_join(d); spin_unlock(&d->fast); }
""")
    assert not any(isinstance(fact, Wait) for fact in found.own_facts(f"{FILE}:f"))


def test_what_a_header_has_with_an_option_off_is_not_the_body() -> None:
    header = "static inline void phy_package_join(void *urb) { }"
    text = "#include <linux/usb.h>\nvoid f(void) { phy_package_join(0); }"
    found = program(text, **{"include/linux/usb.h": header})
    assert [fact.klass for fact in found.own_facts(f"{FILE}:f") if isinstance(fact, Wait)] == ["reschedule"]


def test_a_mask_that_is_handed_on_lets_the_callee_sleep() -> None:
    found = program("""
void f(struct dev *d) { quill_send(d, GFP_KERNEL | __GFP_NOWARN); }
void g(struct dev *d) { quill_send(d, GFP_ATOMIC); }
static void quill_mask(struct dev *d, int mask) { d->flag = mask; }
void h(struct dev *d) { quill_mask(d, GFP_KERNEL); }
""")
    waits = {n: [w.klass for w in found.own_facts(f"{FILE}:{n}") if isinstance(w, Wait)] for n in "fgh"}
    assert waits == {"f": ["reschedule"], "g": [], "h": []}
