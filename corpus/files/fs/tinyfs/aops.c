// SPDX-License-Identifier: GPL-2.0
#include <linux/fs.h>

static int tiny_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	return 0;
}

const struct address_space_operations tiny_aops = {
	.writepages = tiny_writepages,
};
