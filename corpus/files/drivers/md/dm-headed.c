// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target that reads a header before it passes a bio on.
 */
#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/workqueue.h>

struct headed {
	struct dm_dev *dev;
	struct workqueue_struct *wq;
	struct bio *header;
};

struct headed_io {
	struct headed *h;
	struct work_struct work;
};

static void headed_work(struct work_struct *w);

static void headed_pass(struct headed_io *io, bool from_map)
{
	struct bio *bio = dm_bio_from_per_bio_data(io, sizeof(struct headed_io));

	if (from_map) {
		INIT_WORK(&io->work, headed_work);
		queue_work(io->h->wq, &io->work);
		return;
	}
	if (submit_bio_wait(io->h->header)) {
		bio_io_error(bio);
		return;
	}
	bio_set_dev(bio, io->h->dev->bdev);
	submit_bio_noacct(bio);
}

static void headed_work(struct work_struct *w)
{
	headed_pass(container_of(w, struct headed_io, work), false);
}

static int headed_map(struct dm_target *ti, struct bio *bio)
{
	struct headed_io *io = dm_per_bio_data(bio, sizeof(struct headed_io));

	io->h = ti->private;
	headed_pass(io, true);
	return DM_MAPIO_SUBMITTED;
}

static int headed_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct headed *h = ti->private;

	h->wq = alloc_workqueue("headed", WQ_MEM_RECLAIM, 0);
	return h->wq ? 0 : -ENOMEM;
}

static struct target_type headed_target = {
	.name	= "headed",
	.module	= THIS_MODULE,
	.ctr	= headed_ctr,
	.map	= headed_map,
};
module_dm(headed);
