// SPDX-License-Identifier: GPL-2.0
/* A sluice: gates that are moved by a motor which another driver owns. */
#include <linux/interrupt.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct sluice;

struct sluice_motor {
	struct mutex busy;
	void (*turn)(struct sluice_motor *motor, int by);
};

struct sluice {
	struct mutex lock;
	spinlock_t levels_lock;
	struct sluice_motor *motor;
	struct workqueue_struct *queue;
	struct work_struct settle;
	int level;
	int *history;
};

void sluice_motor_turn(struct sluice_motor *motor, int by)
{
	mutex_lock(&motor->busy);
	motor->turn(motor, by);
	mutex_unlock(&motor->busy);
}

void sluice_motor_turn_locked(struct sluice_motor *motor, int by)
{
	motor->turn(motor, by);
}

int sluice_read(struct sluice *s)
{
	unsigned long flags;
	int level;

	spin_lock_irqsave(&s->levels_lock, flags);
	level = s->level;
	spin_unlock_irqrestore(&s->levels_lock, flags);
	return level;
}

void sluice_note(struct sluice *s, int level)
{
	unsigned long flags;

	spin_lock_irqsave(&s->levels_lock, flags);
	s->level = level;
	spin_unlock_irqrestore(&s->levels_lock, flags);
}

static void sluice_settle(struct work_struct *work)
{
	struct sluice *s = container_of(work, struct sluice, settle);

	sluice_motor_turn(s->motor, -1);
}

int sluice_open(struct sluice *s, int by)
{
	mutex_lock(&s->lock);
	s->level += by;
	/*
	 * The motor may ask for our level: with the lock held it would
	 * deadlock.
	 */
	mutex_unlock(&s->lock);
	sluice_motor_turn(s->motor, by);
	mutex_lock(&s->lock);
	queue_work(s->queue, &s->settle);
	mutex_unlock(&s->lock);
	return 0;
}

int sluice_peek(struct sluice *s)
{
	int level = -1;

	if (mutex_trylock(&s->lock)) {
		level = s->level;
		mutex_unlock(&s->lock);
	}
	return level;
}

int sluice_remember(struct sluice *s, int n)
{
	unsigned int flags = memalloc_noio_save();
	int *history = kmalloc_array(n, sizeof(*history), GFP_KERNEL);

	memalloc_noio_restore(flags);
	if (!history)
		return -ENOMEM;
	s->history = history;
	return 0;
}

struct sluice *sluice_make(struct sluice_motor *motor)
{
	struct sluice *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->queue = alloc_ordered_workqueue("sluice", WQ_MEM_RECLAIM);
	if (!s->queue) {
		kfree(s);
		return NULL;
	}
	mutex_init(&s->lock);
	spin_lock_init(&s->levels_lock);
	INIT_WORK(&s->settle, sluice_settle);
	s->motor = motor;
	return s;
}
