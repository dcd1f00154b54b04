// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Buffers of a block device, written back and freed when memory is short.
 */
#include <linux/bio.h>
#include <linux/mutex.h>
#include <linux/shrinker.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct cachebuf_client {
	struct mutex lock;
	struct list_head dirty;
	struct block_device *bdev;
	struct shrinker *shrinker;
	struct work_struct shrink_work;
	atomic_long_t need_shrink;
};

struct cachebuf {
	struct list_head list;
	struct cachebuf_client *c;
	unsigned long state;
	struct bio bio;
};

#define CB_WRITING	0

static struct workqueue_struct *cachebuf_wq;

static void cachebuf_write_done(struct bio *bio)
{
	struct cachebuf *b = container_of(bio, struct cachebuf, bio);

	clear_bit(CB_WRITING, &b->state);
	wake_up_bit(&b->state, CB_WRITING);
}

static void cachebuf_write(struct cachebuf *b)
{
	set_bit(CB_WRITING, &b->state);
	b->bio.bi_end_io = cachebuf_write_done;
	submit_bio(&b->bio);
	wait_on_bit_io(&b->state, CB_WRITING, TASK_UNINTERRUPTIBLE);
}

static unsigned long cachebuf_evict(struct cachebuf_client *c, unsigned long nr)
{
	struct cachebuf *b, *next;
	unsigned long freed = 0;

	list_for_each_entry_safe(b, next, &c->dirty, list) {
		if (freed == nr)
			break;
		cachebuf_write(b);
		list_del(&b->list);
		kfree(b);
		freed++;
	}
	return freed;
}

static void cachebuf_shrink_work(struct work_struct *w)
{
	struct cachebuf_client *c = container_of(w, struct cachebuf_client, shrink_work);

	mutex_lock(&c->lock);
	cachebuf_evict(c, atomic_long_xchg(&c->need_shrink, 0));
	mutex_unlock(&c->lock);
}

static unsigned long cachebuf_scan(struct shrinker *shrink, struct shrink_control *sc)
{
	struct cachebuf_client *c = shrink->private_data;

	atomic_long_add(sc->nr_to_scan, &c->need_shrink);
	queue_work(cachebuf_wq, &c->shrink_work);
	return sc->nr_to_scan;
}

static unsigned long cachebuf_count(struct shrinker *shrink, struct shrink_control *sc)
{
	struct cachebuf_client *c = shrink->private_data;

	return list_empty(&c->dirty) ? 0 : 128;
}

int cachebuf_client_init(struct cachebuf_client *c)
{
	mutex_init(&c->lock);
	INIT_LIST_HEAD(&c->dirty);
	INIT_WORK(&c->shrink_work, cachebuf_shrink_work);
	c->shrinker = shrinker_alloc(0, "cachebuf");
	if (!c->shrinker)
		return -ENOMEM;
	c->shrinker->count_objects = cachebuf_count;
	c->shrinker->scan_objects = cachebuf_scan;
	c->shrinker->private_data = c;
	shrinker_register(c->shrinker);
	return 0;
}

static int __init cachebuf_init(void)
{
	cachebuf_wq = alloc_workqueue("cachebuf", WQ_MEM_RECLAIM, 0);
	return cachebuf_wq ? 0 : -ENOMEM;
}
module_init(cachebuf_init);
