// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Puts what is written on the shelves of a rack, and counts what is under way.
 */
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct rack {
	struct dm_dev *dev;
	spinlock_t lock;
	atomic_t under_way;
	atomic_t errors;
	wait_queue_head_t wait;
	struct bio_list returned;
	struct workqueue_struct *wq;
	struct work_struct sort_work;
};

static void rack_sort(struct work_struct *work)
{
	struct rack *r = container_of(work, struct rack, sort_work);
	struct bio *bio;

	spin_lock_irq(&r->lock);
	bio = bio_list_pop(&r->returned);
	spin_unlock_irq(&r->lock);
	if (bio)
		bio_endio(bio);
}

static void rack_return(struct rack *r, struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	bio_list_add(&r->returned, bio);
	spin_unlock_irqrestore(&r->lock, flags);
	queue_work(r->wq, &r->sort_work);
}

static int rack_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct rack *r = ti->private;

	atomic_dec(&r->under_way);
	wake_up(&r->wait);
	if (*error)
		atomic_inc(&r->errors);
	return DM_ENDIO_DONE;
}

static void rack_presuspend(struct dm_target *ti)
{
	struct rack *r = ti->private;

	wait_event(r->wait, !atomic_read(&r->under_way));
}

static int rack_map(struct dm_target *ti, struct bio *bio)
{
	struct rack *r = ti->private;

	if (bio_op(bio) == REQ_OP_DISCARD) {
		rack_return(r, bio);
		return DM_MAPIO_SUBMITTED;
	}
	atomic_inc(&r->under_way);
	bio_set_dev(bio, r->dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static int rack_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct rack *r = kzalloc(sizeof(*r), GFP_KERNEL);

	if (!r)
		return -ENOMEM;
	spin_lock_init(&r->lock);
	init_waitqueue_head(&r->wait);
	bio_list_init(&r->returned);
	INIT_WORK(&r->sort_work, rack_sort);
	r->wq = alloc_workqueue("rack", WQ_MEM_RECLAIM, 0);
	if (!r->wq) {
		kfree(r);
		return -ENOMEM;
	}
	ti->private = r;
	return 0;
}

static struct target_type rack_target = {
	.name		= "rack",
	.module		= THIS_MODULE,
	.ctr		= rack_ctr,
	.map		= rack_map,
	.end_io		= rack_end_io,
	.presuspend	= rack_presuspend,
};
module_dm(rack);
