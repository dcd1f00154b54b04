// SPDX-License-Identifier: GPL-2.0
/* A roster of watches: who is on duty is read under SRCU, and changed under a mutex. */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

struct watch {
	unsigned int from;
	unsigned int hours;
};

struct roster {
	struct srcu_struct readers;
	struct srcu_struct visitors;
	struct mutex lock;
	struct mutex bell;
	struct watch *now;
	struct work_struct change_work;
	struct miscdevice misc;
	unsigned int rung;
};

static struct watch *roster_enter(struct roster *r, int *idx)
{
	*idx = srcu_read_lock(&r->readers);
	return srcu_dereference(r->now, &r->readers);
}

static void roster_leave(struct roster *r, int idx)
{
	srcu_read_unlock(&r->readers, idx);
}

static void roster_put_up(struct roster *r, struct watch *next)
{
	struct watch *old = r->now;

	rcu_assign_pointer(r->now, next);
	synchronize_srcu(&r->readers);
	kfree(old);
}

static void roster_change(struct roster *r)
{
	struct watch *next = kzalloc(sizeof(*next), GFP_KERNEL);

	if (!next)
		return;
	mutex_lock(&r->lock);
	next->from = r->now->from + r->now->hours;
	next->hours = 4;
	roster_put_up(r, next);
	mutex_unlock(&r->lock);
}

static void roster_change_work(struct work_struct *work)
{
	roster_change(container_of(work, struct roster, change_work));
}

static unsigned int roster_hours(struct roster *r)
{
	struct watch *w;
	unsigned int hours;
	int idx;

	w = roster_enter(r, &idx);
	hours = w->hours;
	roster_leave(r, idx);
	return hours;
}

static unsigned int roster_visit(struct roster *r)
{
	unsigned int rung;
	int idx;

	idx = srcu_read_lock(&r->visitors);
	rung = r->rung;
	srcu_read_unlock(&r->visitors, idx);
	return rung;
}

static void roster_ring(struct roster *r)
{
	mutex_lock(&r->bell);
	r->rung++;
	mutex_unlock(&r->bell);
}

static long roster_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct roster *r = container_of(file->private_data, struct roster, misc);

	switch (cmd) {
	case 0:
		return roster_hours(r);
	case 1:
		roster_ring(r);
		return 0;
	case 2:
		schedule_work(&r->change_work);
		return 0;
	case 3:
		return roster_visit(r);
	case 4:
		roster_put_up(r, NULL);
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct file_operations roster_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = roster_ioctl,
};

int roster_register(struct roster *r)
{
	init_srcu_struct(&r->readers);
	init_srcu_struct(&r->visitors);
	mutex_init(&r->lock);
	mutex_init(&r->bell);
	INIT_WORK(&r->change_work, roster_change_work);
	r->misc.fops = &roster_fops;
	return misc_register(&r->misc);
}
EXPORT_SYMBOL_GPL(roster_register);
MODULE_LICENSE("GPL");
