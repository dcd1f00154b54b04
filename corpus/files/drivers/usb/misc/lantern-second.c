// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lights a lantern, and counts how often it flickers.
 */
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/usb.h>

struct lantern {
	struct device *dev;
	int irq;
	struct urb *urb;
	struct gendisk *disk;
	struct mutex wick_lock;
	spinlock_t flame_lock;
	spinlock_t oil_lock;
	spinlock_t glass_lock;
	unsigned long flickers;
	unsigned long oil;
	unsigned long dust;
	bool careful;
};

static void lantern_note(struct lantern *l)
{
	l->flickers++;
}

static irqreturn_t lantern_flickers(int irq, void *data)
{
	struct lantern *l = data;

	spin_lock(&l->flame_lock);
	lantern_note(l);
	spin_unlock(&l->flame_lock);
	return IRQ_HANDLED;
}

static void lantern_lit(struct urb *urb)
{
	struct lantern *l = urb->context;

	l->oil--;
}

static void lantern_trim(struct lantern *l)
{
	unsigned long flags;

	spin_lock_irqsave(&l->flame_lock, flags);
	l->flickers = 0;
	spin_unlock_irqrestore(&l->flame_lock, flags);
}

static void lantern_fill(struct lantern *l)
{
	spin_lock(&l->oil_lock);
	l->oil = 100;
	spin_unlock(&l->oil_lock);
}

static void lantern_measure(struct lantern *l)
{
	unsigned long flags;

	local_irq_save(flags);
	l->dust = l->flickers;
	local_irq_restore(flags);
}

static void lantern_polish(struct lantern *l)
{
	if (l->careful)
		mutex_lock(&l->wick_lock);
	else
		spin_lock(&l->glass_lock);
	l->dust = 0;
	if (l->careful)
		mutex_unlock(&l->wick_lock);
	else
		spin_unlock(&l->glass_lock);
}

static long lantern_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lantern *l = file->private_data;

	switch (cmd) {
	case 1:
		lantern_trim(l);
		return 0;
	case 2:
		lantern_fill(l);
		return 0;
	case 3:
		lantern_measure(l);
		return 0;
	case 4:
		lantern_polish(l);
		return 0;
	}
	lantern_note(l);
	return l->dust;
}

static const struct file_operations lantern_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= lantern_ioctl,
};

static int lantern_hang_up(struct lantern *l, struct usb_device *udev, void *buffer)
{
	usb_fill_int_urb(l->urb, udev, 0, buffer, 8, lantern_lit, l, 1);
	return devm_request_irq(l->dev, l->irq, lantern_flickers, 0, "lantern", l);
}
