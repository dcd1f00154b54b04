// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Carries writes over to another device, and counts those that are on the way.
 */
#include <linux/atomic.h>
#include <linux/device-mapper.h>
#include <linux/slab.h>
#include <linux/wait.h>

struct ferry {
	struct dm_dev *dev;
	atomic_t aboard;
	wait_queue_head_t landed;
	unsigned int seats;
	bool closed;
};

static void ferry_board(struct ferry *f)
{
	atomic_inc(&f->aboard);
}

static void ferry_land(struct ferry *f)
{
	if (atomic_dec_and_test(&f->aboard))
		wake_up(&f->landed);
}

static int ferry_carry(struct ferry *f, unsigned int goods)
{
	ferry_board(f);
	if (f->closed) {
		ferry_land(f);
		return -EIO;
	}
	f->seats -= goods;
	ferry_land(f);
	return 0;
}

static int ferry_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	struct ferry *f = ti->private;

	return ferry_carry(f, argc);
}

static void ferry_presuspend(struct dm_target *ti)
{
	struct ferry *f = ti->private;

	f->closed = true;
	wait_event(f->landed, !atomic_read(&f->aboard));
}

static struct target_type ferry_target = {
	.name = "ferry",
	.message = ferry_message,
	.presuspend = ferry_presuspend,
};
