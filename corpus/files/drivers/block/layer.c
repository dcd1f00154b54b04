// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A stacked device that maps bios in a worker when they can't be mapped at once.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

struct layer {
	struct bio_set bs;
	struct workqueue_struct *wq;
	struct work_struct work;
	spinlock_t deferred_lock;
	struct bio_list deferred;
	struct block_device *below;
	struct mutex map_lock;
	mempool_t pending_pool;
};

struct layer_pending {
	struct layer *l;
	struct bio *orig;
};

static void layer_clone_done(struct bio *clone)
{
	struct layer_pending *p = clone->bi_private;

	bio_endio(p->orig);
	mempool_free(p, &p->l->pending_pool);
	bio_put(clone);
}

static void layer_split_and_map(struct layer *l, struct bio *bio)
{
	struct layer_pending *p;
	struct bio *clone;

	clone = bio_alloc_clone(l->below, bio, GFP_NOIO, &l->bs);

	mutex_lock(&l->map_lock);
	p = mempool_alloc(&l->pending_pool, GFP_NOIO);
	mutex_unlock(&l->map_lock);

	p->l = l;
	p->orig = bio;
	clone->bi_private = p;
	clone->bi_end_io = layer_clone_done;
	submit_bio_noacct(clone);
}

static void layer_work(struct work_struct *w)
{
	struct layer *l = container_of(w, struct layer, work);
	struct bio *bio;

	for (;;) {
		spin_lock_irq(&l->deferred_lock);
		bio = bio_list_pop(&l->deferred);
		spin_unlock_irq(&l->deferred_lock);
		if (!bio)
			break;
		layer_split_and_map(l, bio);
	}
}

static void layer_submit_bio(struct bio *bio)
{
	struct layer *l = bio->bi_bdev->bd_disk->private_data;

	if (bio->bi_opf & REQ_PREFLUSH) {
		spin_lock_irq(&l->deferred_lock);
		bio_list_add(&l->deferred, bio);
		spin_unlock_irq(&l->deferred_lock);
		queue_work(l->wq, &l->work);
		return;
	}
	layer_split_and_map(l, bio);
}

static const struct block_device_operations layer_ops = {
	.owner		= THIS_MODULE,
	.submit_bio	= layer_submit_bio,
};

int layer_init(struct layer *l)
{
	spin_lock_init(&l->deferred_lock);
	bio_list_init(&l->deferred);
	mutex_init(&l->map_lock);
	INIT_WORK(&l->work, layer_work);
	l->wq = alloc_workqueue("klayerd", WQ_MEM_RECLAIM, 0);
	if (!l->wq)
		return -ENOMEM;
	if (mempool_init_kmalloc_pool(&l->pending_pool, 16, sizeof(struct layer_pending)))
		return -ENOMEM;
	return bioset_init(&l->bs, BIO_POOL_SIZE, 0, BIOSET_NEED_BVECS);
}
