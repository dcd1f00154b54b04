// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target that reads a block a second time when the first copy was wrong.
 */
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/dm-io.h>
#include <linux/mempool.h>
#include <linux/workqueue.h>

struct recheck {
	struct dm_dev *dev;
	struct workqueue_struct *wq;
	struct dm_io_client *io;
	mempool_t page_pool;
};

struct recheck_io {
	struct recheck *r;
	struct work_struct work;
	bio_end_io_t *orig_end_io;
	sector_t block;
};

static int recheck_compare(struct recheck *r, void *data);

static int recheck_again(struct recheck *r, struct recheck_io *io)
{
	struct dm_io_request req;
	struct dm_io_region where;
	struct page *page;
	int error;

	page = mempool_alloc(&r->page_pool, GFP_NOIO);

	req.bi_opf = REQ_OP_READ;
	req.mem.type = DM_IO_KMEM;
	req.mem.ptr.addr = page_to_virt(page);
	req.notify.fn = NULL;
	req.client = r->io;
	where.bdev = r->dev->bdev;
	where.sector = io->block;
	where.count = 8;
	error = dm_io(&req, 1, &where, NULL, IOPRIO_DEFAULT);
	if (!error)
		error = recheck_compare(r, page_to_virt(page));

	mempool_free(page, &r->page_pool);
	return error;
}

static void recheck_work(struct work_struct *w)
{
	struct recheck_io *io = container_of(w, struct recheck_io, work);
	struct bio *bio = dm_bio_from_per_bio_data(io, sizeof(struct recheck_io));

	if (recheck_again(io->r, io))
		bio->bi_status = BLK_STS_IOERR;
	bio->bi_end_io = io->orig_end_io;
	bio_endio(bio);
}

static void recheck_end_io(struct bio *bio)
{
	struct recheck_io *io = bio->bi_private;

	INIT_WORK(&io->work, recheck_work);
	queue_work(io->r->wq, &io->work);
}

static int recheck_map(struct dm_target *ti, struct bio *bio)
{
	struct recheck *r = ti->private;
	struct recheck_io *io = dm_per_bio_data(bio, sizeof(struct recheck_io));

	io->r = r;
	io->block = bio->bi_iter.bi_sector;
	io->orig_end_io = bio->bi_end_io;
	bio_set_dev(bio, r->dev->bdev);
	bio->bi_end_io = recheck_end_io;
	bio->bi_private = io;
	submit_bio_noacct(bio);

	return DM_MAPIO_SUBMITTED;
}

static int recheck_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct recheck *r;
	int error;

	r = kzalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;

	r->wq = alloc_workqueue("krecheckd", WQ_MEM_RECLAIM, 0);
	if (!r->wq) {
		error = -ENOMEM;
		goto bad_wq;
	}
	error = mempool_init_page_pool(&r->page_pool, 1, 0);
	if (error)
		goto bad_pool;
	r->io = dm_io_client_create();
	if (IS_ERR(r->io)) {
		error = PTR_ERR(r->io);
		goto bad_client;
	}

	ti->private = r;
	return 0;

bad_client:
	mempool_exit(&r->page_pool);
bad_pool:
	destroy_workqueue(r->wq);
bad_wq:
	kfree(r);
	return error;
}

static void recheck_dtr(struct dm_target *ti)
{
	struct recheck *r = ti->private;

	destroy_workqueue(r->wq);
	dm_io_client_destroy(r->io);
	mempool_exit(&r->page_pool);
	kfree(r);
}

static struct target_type recheck_target = {
	.name		= "recheck",
	.module		= THIS_MODULE,
	.ctr		= recheck_ctr,
	.dtr		= recheck_dtr,
	.map		= recheck_map,
};
module_dm(recheck);
