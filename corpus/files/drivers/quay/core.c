// SPDX-License-Identifier: GPL-2.0
/*
 * Quays: what all harbours have in common.
 */
#include <linux/mutex.h>
#include <linux/quay.h>
#include <linux/spinlock.h>

int quay_depth(struct quay *quay)
{
	int depth;

	mutex_lock(&quay->lock);
	depth = quay->depth;
	mutex_unlock(&quay->lock);
	return depth;
}
EXPORT_SYMBOL_GPL(quay_depth);

int quay_moor(struct berth *berth)
{
	int ret;

	mutex_lock(&berth->quay->lock);
	ret = berth->ops->moor(berth);
	mutex_unlock(&berth->quay->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(quay_moor);

void quay_tick(struct berth *berth)
{
	spin_lock(&berth->quay->bell);
	if (berth->ships)
		berth->ops->tick(berth);
	spin_unlock(&berth->quay->bell);
}
EXPORT_SYMBOL_GPL(quay_tick);
