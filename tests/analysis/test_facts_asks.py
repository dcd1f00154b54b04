"""Who asks for memory or takes from a reserve, how far reclaim may go there, and who waits for whoever does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reviewbot.analysis.code.lines import appended, reads, sets
from reviewbot.analysis.events.kinds import Mask
from reviewbot.analysis.program import programs
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.questions.allocation_sites import asks, nth, resolved, weaker, which
from reviewbot.analysis.questions.io_dependence import handlers, holders, lives, passes, serves, stacks, way
from reviewbot.analysis.questions.reserves import drains, kept, several
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.gittree.tree import Tree

PATH = "drivers/md/dm-foo.c"
HEAD = """
struct foo { struct mutex lock; mempool_t pool; struct work_struct work; struct workqueue_struct *wq; };
"""
TAIL = """
static struct target_type foo_target = { .name = "foo", .map = foo_map };
"""


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    """The program of the C text that the test's docstring is."""
    text = HEAD + (request.function.__doc__ or "") + TAIL
    with Tree.from_files({PATH: text.encode()}) as tree:
        yield programs.around(tree.at("HEAD"), [PATH])


def key(name: str) -> str:
    return f"{PATH}:{name}"


def test_scopes_and_callers_decide_the_class(program: Program) -> None:
    """
    static void *inner(gfp_t gfp) { return kmalloc(8, gfp); }
    static void foo_map(void) { inner(GFP_KERNEL); }
    static void scoped(void) { unsigned int f = memalloc_noio_save(); inner(GFP_KERNEL); memalloc_noio_restore(f); }
    """
    (outside,) = asks(program, key("foo_map"))
    (inside,) = asks(program, key("scoped"))
    assert (outside.klass, outside.raw, outside.scopes) == ("full", "full", ())
    assert (inside.klass, inside.raw, inside.scopes) == ("noio", "full", ("noio",))
    assert list(weaker([inside], [outside])) == [(inside, outside)]
    assert not list(weaker([outside], [inside]))
    assert resolved(program, key("inner"), "$0") == {"full"}
    assert asks(program, key("inner"))[0].klass == "full"


def test_a_mask_that_is_left_out_is_the_default(program: Program) -> None:
    """
    static void sized(struct foo *f, int n) { f = kmalloc_objs(*f, n); }
    static void given(struct foo *f) { f = kzalloc_flex(*f, list, 3, GFP_NOIO); }
    static void inner(struct foo *f, gfp_t gfp) { f = kzalloc_obj(*f, gfp); }
    static void unknown(struct foo *f) { f = kzalloc_obj(*f, f->gfp); }
    static void foo_map(struct foo *f, struct bio *bio) { inner(f, GFP_NOFS); bio_submit_split_bioset(bio, 8, &f->set); }
    """
    found = {name: asks(program, key(name))[0].klass for name in ("sized", "given", "inner", "unknown")}
    assert found == {"sized": "full", "given": "noio", "inner": "nofs", "unknown": ""}
    (drain,) = drains(program, key("foo_map"))
    assert (drain.pool, drain.rank) == ("foo.set", 1)


def test_way_through_a_lock_and_through_the_function(program: Program) -> None:
    """
    static void foo_map(struct foo *f) { mutex_lock(&f->lock); mutex_unlock(&f->lock); inner(f); }
    static void inner(struct foo *f) { kmalloc(8, GFP_NOIO); }
    static void locked(struct foo *f) { kmalloc(8, GFP_NOIO); }
    static void caller(struct foo *f) { mutex_lock(&f->lock); locked(f); mutex_unlock(&f->lock); }
    static void alone(struct foo *f) { kmalloc(8, GFP_NOIO); }
    """
    runs, lock = way(program, key("inner")), way(program, key("locked"))
    assert runs is not None
    assert (runs.kind, runs.needs) == ("runs", "IO")
    assert lock is not None
    assert lock.held is not None
    assert (lock.kind, lock.held.lock, lock.taker) == ("lock", "foo.lock", key("foo_map"))
    assert way(program, key("alone")) is None
    assert holders(program, "foo.lock", PATH) == ("allocates", asks(program, key("locked"))[0].at, "GFP_NOIO")


def test_what_a_callee_asks_for_is_its_own_change(program: Program) -> None:
    """
    static void *inner(void) { return kmalloc(8, GFP_KERNEL); }
    static void foo_map(void) { inner(); }
    """
    (now,) = asks(program, key("foo_map"))
    was = now._replace(klass="noio", raw="noio", effect=Effect("memory", "", "noio"))
    scoped = now._replace(klass="noio", scopes=("noio",))
    assert not list(weaker([was], [now]))
    assert list(weaker([scoped], [now])) == [(scoped, now)]


def test_way_prefers_the_lock_of_every_caller_and_leaves_the_memory_map_out(program: Program) -> None:
    """
    struct bar { struct mutex lock; };
    static void foo_map(struct foo *f, struct bar *b, struct mm_struct *mm)
    { both(f, b); mmap_write_lock(mm); mmap_write_unlock(mm); }
    static void both(struct foo *f, struct bar *b) { takes(f); mutex_lock(&b->lock); mutex_unlock(&b->lock); }
    static void takes(struct foo *f) { mutex_lock(&f->lock); mutex_unlock(&f->lock); }
    static void inner(void) { kmalloc(8, GFP_NOIO); }
    static void one(struct foo *f, struct bar *b)
    { mutex_lock(&f->lock); mutex_lock(&b->lock); inner(); mutex_unlock(&b->lock); mutex_unlock(&f->lock); }
    static void other(struct foo *f) { mutex_lock(&f->lock); inner(); mutex_unlock(&f->lock); }
    static void mapped(struct mm_struct *mm) { mmap_write_lock(mm); kmalloc(8, GFP_NOIO); mmap_write_unlock(mm); }
    """
    lock = way(program, key("inner"))
    assert lock is not None
    assert lock.held is not None
    assert (lock.held.lock, lock.some) == ("foo.lock", False)
    assert way(program, key("mapped"), program.view(key("mapped")).made[1].at.held) is None


def test_a_scope_on_the_way_in_makes_up_for_the_mask(program: Program) -> None:
    """
    static void inner(struct foo *f) { kmalloc(8, GFP_KERNEL); }
    static void foo_map(struct foo *f) { unsigned int s = memalloc_noio_save(); inner(f); memalloc_noio_restore(s); }
    """
    assert way(program, key("inner"), more=("noio", "full")) is None
    assert way(program, key("inner")) is not None


def test_what_is_taken_several_times_and_what_is_kept(program: Program) -> None:
    """
    static void loop(struct foo *f, int n) { while (n--) mempool_alloc(&f->pool, GFP_NOIO); }
    static void once(struct foo *f) { void *p = mempool_alloc(&f->pool, GFP_NOIO); mempool_free(p, &f->pool); }
    static void over(struct foo *f, struct bio *b)
    {
            void *p = mempool_alloc(&f->pool, GFP_NOIO);
            submit_bio_wait(b);
            mempool_free(p, &f->pool);
    }
    static void foo_map(struct foo *f) { loop(f, 2); }
    """
    (again,), (single,) = drains(program, key("loop")), drains(program, key("once"))
    assert again.pool == "foo.pool"
    assert several(program.body(key("loop")), again, again)
    assert not several(program.body(key("once")), single, single)
    assert (kept(program, key("loop"), "foo.pool"), kept(program, key("once"), "foo.pool")) == (True, False)
    assert kept(program, key("over"), "foo.pool")
    assert [d.pool for d in drains(program, key("foo_map"))] == ["foo.pool"]


def test_what_a_file_is_part_of(program: Program) -> None:
    """
    static void foo_work(struct work_struct *w) { bio_endio(0); }
    static void foo_map(struct foo *f) { INIT_WORK(&f->work, foo_work); queue_work(f->wq, &f->work); }
    static void other(void) { }
    """
    assert (lives(program, PATH), passes(program, PATH), stacks(program, PATH)) == ("IO", "foo_map", True)
    assert handlers(program, "foo.work") == (key("foo_work"),)
    served = serves(program, key("foo_work"))
    assert served is not None
    assert served.runner == "foo.work"
    assert serves(program, key("other")) is None


def test_masks_for_later(program: Program) -> None:
    """
    static void part(struct address_space *m, gfp_t old) { mapping_set_gfp_mask(m, old & ~__GFP_FS); }
    static void all(struct address_space *m) { mapping_set_gfp_mask(m, mapping_gfp_mask(m)); }
    static void foo_map(struct foo *f) { f->tfm = crypto_alloc_shash("x", 0, CRYPTO_ALG_ALLOCATES_MEMORY); }
    """
    found = {
        name: f.klass
        for name in ("part", "all", "foo_map")
        for f in program.own_facts(key(name))
        if isinstance(f, Mask)
    }
    assert found == {"part": "nofs", "all": "full", "foo_map": "noio"}


def test_reads_sets_and_joins(program: Program) -> None:
    """
    struct task_struct { struct bio_list *bio_list; };
    static int foo_map(struct task_struct *t) { return bio_list_empty(t->bio_list); }
    static void own(struct task_struct *t) { struct bio_list on[2]; t->bio_list = on; bio_list_merge(&on[0], &on[1]); }
    """
    assert reads(program.body(key("foo_map")), "task_struct.bio_list")
    assert not reads(program.body(key("own")), "task_struct.bio_list")
    assert sets(program.body(key("own")), "task_struct.bio_list")
    assert list(appended(program.body(key("own")), "bio_list_merge")) == [("on[0]", "on[1]")]


def test_a_call_is_told_from_others_of_its_name(program: Program) -> None:
    """
    static void foo_map(int n) {
            kfree(kmalloc(n, GFP_NOIO));
            kfree(kmalloc(n, GFP_KERNEL));
    }
    static void older(int n) {
            kfree(kmalloc(n, GFP_NOIO));
            kfree(kmalloc(n, GFP_NOWAIT));
    }
    """
    found, old = asks(program, key("foo_map")), asks(program, key("older"))
    told = which(found, found[1])
    assert nth(old, "kmalloc", told) == old[1]
    assert nth(old[:1], "kmalloc", told) == old[0]
    assert nth((), "kmalloc", told) is None


def test_a_thread_that_ends_bios_close_by_serves(program: Program) -> None:
    """
    static void foo_map(struct foo *f) { wake_up(&f->wait); }
    static void ended(struct foo *f) { kmalloc(8, GFP_NOIO); bio_endio(f->bio); }
    static int worker(void *data) { ended(data); return 0; }
    static void counted(struct foo *f) { kmalloc(8, GFP_NOIO); }
    static int counter(void *data) { counted(data); return 0; }
    static int foo_ctr(struct foo *f)
    {
            f->thread = kthread_run(worker, f, "foo");
            f->other = kthread_run(counter, f, "foo");
            return 0;
    }
    """
    entered = serves(program, key("ended"))
    assert entered is not None
    assert (entered.context, entered.chain) == ("thread", (key("worker"), key("ended")))
    found = way(program, key("ended"))
    assert found is not None
    assert (found.kind, found.needs) == ("runs", "IO")
    assert serves(program, key("counted")) is None


def test_a_mask_that_later_kernels_imply(program: Program) -> None:
    """
    static void foo_map(struct foo *f) { blkdev_zone_mgmt(f->bdev, 0, 0, 1, GFP_NOIO); }
    static void later(struct foo *f) { blkdev_zone_mgmt(f->bdev, 0, 0, 1); }
    """
    assert [asks(program, key(name))[0].klass for name in ("foo_map", "later")] == ["noio", "full"]


def test_the_error_handler_of_a_host_is_waited_for(program: Program) -> None:
    """
    static void foo_map(struct foo *f) { }
    static void reset(struct foo *f) { kmalloc(8, GFP_NOIO); }
    static int foo_reset(struct scsi_cmnd *cmd) { reset(shost_priv(cmd->device->host)); return 0; }
    static struct scsi_host_template foo_host = { .eh_device_reset_handler = foo_reset };
    """
    found = way(program, key("reset"))
    assert found is not None
    assert found.entered is not None
    assert (found.kind, found.entered.chain) == ("runs", (key("foo_reset"), key("reset")))


def test_a_constant_decides_how_a_function_asks(program: Program) -> None:
    """
    static void *grab(struct foo *f, bool write)
    {
            unsigned int flags;
            void *p;
            if (!write)
                    return grab_cache_page(f->mapping, 0);
            flags = memalloc_nofs_save();
            p = grab_cache_page(f->mapping, 0);
            memalloc_nofs_restore(flags);
            return p;
    }
    static void foo_map(struct foo *f) { grab(f, true); }
    static void reads(struct foo *f) { grab(f, false); }
    static void looks(struct foo *f) { pagecache_get_page(f->mapping, 0, 0, 0); }
    static void makes(struct foo *f) { pagecache_get_page(f->mapping, 0, FGP_CREAT, mapping_gfp_mask(f->mapping)); }
    """
    (strict,), (free,) = asks(program, key("foo_map")), asks(program, key("reads"))
    assert (strict.klass, free.klass) == ("nofs", "full")
    assert list(weaker([strict], [free])) == [(strict, free)]
    assert [asks(program, key(name))[0].klass for name in ("looks", "makes")] == ["nowait", "full"]


def test_a_lock_that_a_flag_asks_for_is_no_reason(program: Program) -> None:
    """
    static void take(struct foo *f, unsigned int flags) { if (flags & FOO_LOCK) mutex_lock(&f->lock); }
    static void foo_map(struct foo *f) { take(f, FOO_OTHER); }
    static void locked(struct foo *f) { mutex_lock(&f->lock); kmalloc(8, GFP_NOIO); mutex_unlock(&f->lock); }
    """
    (ask,) = asks(program, key("locked"))
    assert ask.held
    assert way(program, key("locked"), ask.held) is None
