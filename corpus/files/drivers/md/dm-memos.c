// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target that keeps a note of each bio.
 */
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/mutex.h>
#include <linux/slab.h>

struct noter {
	struct dm_dev *dev;
	struct mutex lock;
	struct list_head notes;
	unsigned int *table;
};

struct note {
	struct list_head list;
	sector_t sector;
};

static int noter_add(struct noter *n, sector_t sector)
{
	struct note *note;

	note = kmalloc_obj(*note, GFP_NOIO);
	if (!note)
		return -ENOMEM;
	note->sector = sector;
	mutex_lock(&n->lock);
	list_add(&note->list, &n->notes);
	mutex_unlock(&n->lock);
	return 0;
}

static int noter_map(struct dm_target *ti, struct bio *bio)
{
	struct noter *n = ti->private;

	if (noter_add(n, bio->bi_iter.bi_sector))
		return DM_MAPIO_KILL;
	bio_set_dev(bio, n->dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static int noter_grow(struct noter *n, unsigned int size)
{
	unsigned int *table;

	mutex_lock(&n->lock);
	table = kmalloc_objs(*table, size, GFP_NOIO);
	if (table) {
		kfree(n->table);
		n->table = table;
	}
	mutex_unlock(&n->lock);
	return table ? 0 : -ENOMEM;
}

static int noter_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	struct noter *n = ti->private;

	return noter_grow(n, argc);
}

static int noter_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct noter *n;

	n = kzalloc_obj(*n, GFP_NOIO);
	if (!n)
		return -ENOMEM;
	mutex_init(&n->lock);
	INIT_LIST_HEAD(&n->notes);
	ti->private = n;
	return 0;
}

static struct target_type noter_target = {
	.name		= "noter",
	.module		= THIS_MODULE,
	.ctr		= noter_ctr,
	.map		= noter_map,
	.message	= noter_message,
};
module_dm(noter);
