// SPDX-License-Identifier: GPL-2.0
#include <linux/delay.h>
#include <linux/quay.h>

static int pier_moor(struct berth *berth)
{
	int depth = berth->quay->depth;

	if (depth < 0)
		return -ENXIO;
	berth->ships++;
	return 0;
}

static void pier_tick(struct berth *berth)
{
	berth->ships--;
	udelay(20);
}

const struct berth_ops pier_ops = {
	.moor = pier_moor,
	.tick = pier_tick,
};
