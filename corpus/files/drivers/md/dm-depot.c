// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keeps what is written in a depot and counts how it is used.
 */
#include <linux/blk-mq.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct depot {
	struct dm_dev *dev;
	struct request_queue *queue;
	struct mutex lock;
	struct mutex table_lock;
	spinlock_t count_lock;
	unsigned long count;
	bool full;
	struct workqueue_struct *wq;
	struct work_struct sort_work;
	struct work_struct flush_work;
	struct completion flushed;
};

static void depot_sort(struct work_struct *work)
{
	struct depot *d = container_of(work, struct depot, sort_work);

	mutex_lock(&d->lock);
	d->full = false;
	mutex_unlock(&d->lock);
}

static void depot_flush(struct work_struct *work)
{
	struct depot *d = container_of(work, struct depot, flush_work);

	mutex_lock(&d->lock);
	d->count = 0;
	mutex_unlock(&d->lock);
	complete(&d->flushed);
}

static void depot_end_io(struct bio *bio)
{
	struct depot *d = bio->bi_private;
	unsigned long flags;

	spin_lock_irqsave(&d->count_lock, flags);
	d->count++;
	spin_unlock_irqrestore(&d->count_lock, flags);
}

static void depot_reset(struct depot *d)
{
	mutex_lock(&d->lock);
	d->full = false;
	mutex_unlock(&d->lock);
}

static int depot_limits(struct depot *d)
{
	mutex_lock(&d->table_lock);
	mutex_lock(&d->lock);
	d->full = true;
	mutex_unlock(&d->lock);
	mutex_unlock(&d->table_lock);
	return 0;
}

static void depot_resize(struct depot *d)
{
	if (blk_queue_enter(d->queue, 0))
		return;
	mutex_lock(&d->table_lock);
	d->full = false;
	mutex_unlock(&d->table_lock);
	blk_queue_exit(d->queue);
}

static int depot_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	struct depot *d = ti->private;
	unsigned long *old;

	if (argc == 1) {
		depot_reset(d);
		return 0;
	}
	if (argc == 2) {
		depot_resize(d);
		return depot_limits(d);
	}

	queue_work(d->wq, &d->flush_work);
	wait_for_completion(&d->flushed);

	flush_work(&d->sort_work);
	mutex_lock(&d->lock);
	if (d->full) {
		mutex_unlock(&d->lock);
		return -EBUSY;
	}
	d->full = true;
	mutex_unlock(&d->lock);

	mutex_lock(&d->table_lock);
	d->full = false;
	mutex_unlock(&d->table_lock);

	old = kmalloc(sizeof(*old), GFP_KERNEL);
	if (!old)
		return -ENOMEM;
	spin_lock_irq(&d->count_lock);
	*old = d->count;
	spin_unlock_irq(&d->count_lock);
	kfree(old);
	return 0;
}

static int depot_map(struct dm_target *ti, struct bio *bio)
{
	struct depot *d = ti->private;

	bio_set_dev(bio, d->dev->bdev);
	bio->bi_end_io = depot_end_io;
	queue_work(d->wq, &d->sort_work);
	return DM_MAPIO_REMAPPED;
}

static int depot_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct depot *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return -ENOMEM;
	mutex_init(&d->lock);
	mutex_init(&d->table_lock);
	spin_lock_init(&d->count_lock);
	init_completion(&d->flushed);
	INIT_WORK(&d->sort_work, depot_sort);
	INIT_WORK(&d->flush_work, depot_flush);
	d->wq = alloc_workqueue("depot", WQ_MEM_RECLAIM, 0);
	if (!d->wq) {
		kfree(d);
		return -ENOMEM;
	}
	ti->private = d;
	return 0;
}

static struct target_type depot_target = {
	.name		= "depot",
	.module		= THIS_MODULE,
	.ctr		= depot_ctr,
	.map		= depot_map,
	.message	= depot_message,
};
module_dm(depot);
