// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes down which bios are on their way.
 */
#include <linux/device-mapper.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

struct ledger {
	struct dm_dev *dev;
	spinlock_t page_lock;
	spinlock_t sum_lock;
	u64 pages;
	u64 sum;
};

static void ledger_add(struct ledger *l, u64 n)
{
	unsigned long flags;

	spin_lock_irqsave(&l->sum_lock, flags);
	l->sum += n;
	spin_unlock_irqrestore(&l->sum_lock, flags);
}

static void ledger_end_io(struct bio *bio)
{
	struct ledger *l = bio->bi_private;
	unsigned long flags;

	spin_lock_irqsave(&l->page_lock, flags);
	l->pages--;
	spin_unlock_irqrestore(&l->page_lock, flags);
}

static int ledger_map(struct dm_target *ti, struct bio *bio)
{
	struct ledger *l = ti->private;

	spin_lock_irq(&l->page_lock);
	l->pages++;
	ledger_add(l, l->pages);
	spin_unlock_irq(&l->page_lock);

	bio_set_dev(bio, l->dev->bdev);
	bio->bi_end_io = ledger_end_io;
	bio->bi_private = l;
	return DM_MAPIO_REMAPPED;
}

static struct target_type ledger_target = {
	.name		= "ledger",
	.module		= THIS_MODULE,
	.map		= ledger_map,
};
module_dm(ledger);
