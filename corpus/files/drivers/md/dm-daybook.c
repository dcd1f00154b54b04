// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target that books what passes by.
 */
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/mutex.h>
#include <linux/slab.h>

struct daybook {
	struct dm_dev *dev;
	struct mutex page_lock;
	struct mutex cover_lock;
	unsigned int *page;
	char *cover;
};

static int daybook_map(struct dm_target *ti, struct bio *bio)
{
	struct daybook *b = ti->private;

	mutex_lock(&b->page_lock);
	b->page[0]++;
	mutex_unlock(&b->page_lock);
	bio_set_dev(bio, b->dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static int daybook_turn(struct daybook *b, unsigned int size)
{
	unsigned int *page;

	page = kcalloc(size, sizeof(*page), GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	mutex_lock(&b->page_lock);
	swap(b->page, page);
	mutex_unlock(&b->page_lock);
	kfree(page);
	return 0;
}

static int daybook_bind(struct daybook *b, unsigned int size)
{
	char *cover;

	cover = kzalloc(size, GFP_KERNEL);
	if (!cover)
		return -ENOMEM;
	mutex_lock(&b->cover_lock);
	swap(b->cover, cover);
	mutex_unlock(&b->cover_lock);
	kfree(cover);
	return 0;
}

static int daybook_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	return argc > 1 ? daybook_turn(ti->private, argc) : daybook_bind(ti->private, 80);
}

static struct target_type daybook_target = {
	.name		= "daybook",
	.module		= THIS_MODULE,
	.map		= daybook_map,
	.message	= daybook_message,
};
module_dm(daybook);
