// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/wait.h>

struct till {
	struct dm_dev *dev;
	wait_queue_head_t room;
	unsigned int left;
	bool own;
};

static int till_map(struct dm_target *ti, struct bio *bio)
{
	struct till *t = ti->private;

	if (!t->own)
		wait_event(t->room, t->left);
	t->left--;
	bio_set_dev(bio, t->dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static int till_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct till *t = ti->private;

	t->left++;
	wake_up(&t->room);
	return DM_ENDIO_DONE;
}

static struct target_type till_target = {
	.name		= "till",
	.module		= THIS_MODULE,
	.map		= till_map,
	.end_io		= till_end_io,
};
module_dm(till);
