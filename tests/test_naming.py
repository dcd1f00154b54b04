"""Objects by the expressions of the code that a finding stands on, workers by their queues."""

from __future__ import annotations

from small import program

from reviewbot.detect.edges import Actor
from reviewbot.replay.naming import ObjectNames
from reviewbot.rule import Scene, kworker, queue_name, worker
from reviewbot.types import Finding, KnotEdge, Place, Step, Trace, Words

FILE = "drivers/md/small.c"
CODE = """
struct lid { struct mutex lock; int open; };
struct box { struct mutex lock; struct lid lid; struct request_queue *queue; struct list_head list; };
static struct box *first;
static void shut(struct box *b) { mutex_lock(&b->lock); b->lid.open = 0; mutex_unlock(&b->lock); }
static void open(struct box *it) { mutex_lock(&it->lock); it->lid.open = 1; mutex_unlock(&it->lock); }
static void lift(struct lid *l) { mutex_lock(&l->lock); mutex_unlock(&l->lock); }
static void stop(struct box *b) { blk_mq_freeze_queue(b->queue); blk_mq_unfreeze_queue(b->queue); }
static void look(struct box *kept) { }
"""


def names(function: str, *others: str) -> ObjectNames:
    made = program(CODE)
    at = Place(FILE, made.function(f"{FILE}:{function}").line, function)
    related = tuple(Place(FILE, 1, other) for other in others)
    return ObjectNames(made, Finding(rule="x", at=at, message="m", related=related))


def test_the_function_that_is_spoken_of_says_how_a_field_is_called() -> None:
    assert names("shut").text("takes box->lock") == "takes b->lock"
    assert names("open").text("takes box->lock, sets lid->open.") == "takes it->lock, sets it->lid.open."
    assert names("lift", "open").text("holds box->lock") == "holds it->lock"


def test_the_functions_that_a_rule_knows_of_are_spoken_of_too() -> None:
    made = program(CODE)
    finding = Finding(rule="x", at=Place(FILE, 1, "look"), message="m")
    about = Actor((f"{FILE}:open",), at=Place(FILE, 1))
    assert ObjectNames(made, finding).text("holds box->lock") == "holds b->lock"
    assert ObjectNames(made, finding, about).text("holds box->lock") == "holds it->lock"


def test_what_the_code_says_already_stays() -> None:
    text = "current->bio_list, b->lock and v->io"
    assert names("shut").text(text) == text


def test_two_fields_never_have_one_name() -> None:
    made = program(
        "struct one { struct mutex lock; };\nstruct two { struct mutex lock; };\n"
        "static void f(struct one *c) { mutex_lock(&c->lock); }\nstatic void g(struct two *c) { mutex_lock(&c->lock); }\n"
    )
    found = ObjectNames(made, Finding(rule="x", at=Place(FILE, 3, "f"), message="m"))
    assert found.text("one->lock and two->lock") == "c->lock and lock"


def test_a_queue_is_told_by_its_pointer_and_a_field_of_nobody_by_its_name() -> None:
    assert names("stop").text("freezes request_queue->q_usage_counter") == "freezes b->queue"
    assert names("stop").text("f(&request_queue->q_usage_counter)") == "f(b->queue)"
    assert names("stop").text("down_write(&mm_struct->mmap_lock)") == "down_write(mmap_lock)"


def test_a_field_that_is_only_declared_is_told_by_what_such_pointers_are_called() -> None:
    assert names("look").text("box->list") in ("b->list", "kept->list")


def test_a_finding_and_its_scenes_have_the_same_names() -> None:
    found = names("shut")
    told = found.finding(Finding(rule="x", at=Place(FILE, 5, "shut"), message="box->lock", words=Words("box->lock.")))
    assert told.words is not None
    assert (told.message, told.words.claim) == ("b->lock", "b->lock.")
    scene = found.scene(Scene.of("recursive_lock", lock="box->lock", through=["box->lock"], dropped=True))
    assert dict(scene.values) == {"lock": "b->lock", "dropped": True}
    assert scene.through == ("b->lock",)
    trace = Trace((Step("f()", "takes box->lock"),), (KnotEdge("f()", "box->lock", "g()", "f() waits for box->lock"),))
    assert "box" not in str(found.trace(trace))


QUEUES = """
struct box { struct workqueue_struct *wq, *slow; struct work_struct work; };
static void box_work(struct work_struct *w) { bio_endio(0); }
static void box_end_io(struct bio *bio) { struct box *b = bio->bi_private; queue_work(b->wq, &b->work); }
static int box_map(struct dm_target *ti, struct bio *bio) { bio->bi_end_io = box_end_io; return 1; }
static int box_ctr(struct box *b)
{
	b->wq = alloc_workqueue("kboxd-%s", WQ_HIGHPRI, 0, "x");
	b->slow = alloc_workqueue("box slow", WQ_UNBOUND, 0);
	INIT_WORK(&b->work, box_work);
	return 0;
}
static struct target_type box_target = { .name = "box", .map = box_map };
"""


def test_workers_are_named_by_queue_and_pool() -> None:
    made = program(QUEUES)
    assert queue_name(made, "box.wq") == "kboxd"
    assert queue_name(made, "box.slow") == "box->slow"
    assert kworker(made, "box.wq") == "worker of the highpri pool"
    assert kworker(made, "box.slow") == "worker of the unbound pool"
    assert kworker(made, "system_wq") == "kworker"
    assert kworker(made, "system_highpri_wq") == "worker of the highpri pool"
    assert worker(made, f"{FILE}:box_work") == "the worker of kboxd"
    assert worker(made, f"{FILE}:nobody", "dm-box") == "the worker of dm-box"
