// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target that writes through pages of its own.
 */
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/mempool.h>
#include <linux/mutex.h>

#define MIN_PAGES	16

struct copier {
	struct dm_dev *dev;
	mempool_t page_pool;
	struct mutex alloc_lock;
};

static int copier_alloc(struct copier *c, struct bio *clone, unsigned int count)
{
	struct page *page;
	unsigned int i;

	mutex_lock(&c->alloc_lock);
	for (i = 0; i < count; i++) {
		page = mempool_alloc(&c->page_pool, GFP_NOIO);
		__bio_add_page(clone, page, PAGE_SIZE, 0);
	}
	mutex_unlock(&c->alloc_lock);
	return 0;
}

static void copier_end_io(struct bio *clone)
{
	struct copier *c = clone->bi_private;
	struct bio_vec *bv;
	struct bvec_iter_all iter;

	bio_for_each_segment_all(bv, clone, iter)
		mempool_free(bv->bv_page, &c->page_pool);
	bio_put(clone);
}

static int copier_map(struct dm_target *ti, struct bio *bio)
{
	struct copier *c = ti->private;
	struct bio *clone = bio->bi_private;

	copier_alloc(c, clone, bio_segments(bio));
	clone->bi_private = c;
	clone->bi_end_io = copier_end_io;
	submit_bio_noacct(clone);
	return DM_MAPIO_SUBMITTED;
}

static int copier_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct copier *c = ti->private;

	mutex_init(&c->alloc_lock);
	return mempool_init_page_pool(&c->page_pool, MIN_PAGES, 0);
}

static struct target_type copier_target = {
	.name	= "copier",
	.module	= THIS_MODULE,
	.ctr	= copier_ctr,
	.map	= copier_map,
};
module_dm(copier);
