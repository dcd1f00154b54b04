// SPDX-License-Identifier: GPL-2.0
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

struct shelf {
	struct mutex lock;
	spinlock_t list_lock;
	struct list_head items;
	struct kref users;
	struct rw_semaphore sem;
	bool closed;
	bool shared;
	int used;
};

static int shelf_fill(struct shelf *s, int how_many)
{
	return how_many > 10 ? -ENOSPC : 0;
}

static int shelf_put(struct shelf *s, int how_many)
{
	int ret;

	mutex_lock(&s->lock);
	ret = shelf_fill(s, how_many);
	if (ret)
		goto unlock;
	s->used += how_many;
unlock:
	mutex_unlock(&s->lock);
out:
	return ret;
}

static int shelf_close(struct shelf *s)
{
	if (s->closed)
		return -EALREADY;

	mutex_lock(&s->lock);
	if (s->closed) {
		mutex_unlock(&s->lock);
		return -EALREADY;
	}
	s->closed = true;
	mutex_unlock(&s->lock);
	return 0;
}

static void shelf_count(struct shelf *s)
{
	s->used++;
}

static int shelf_add_all(struct shelf *s, spinlock_t *lock, int how_many)
{
	int ret;

	spin_lock(lock);
	ret = shelf_fill(s, how_many);
	if (ret) {
		spin_unlock(lock);
		return ret;
	}
	s->used += how_many;
	spin_unlock(lock);
	return 0;
}

static int shelf_restock(struct shelf *s)
{
	return shelf_add_all(s, &s->list_lock, 5);
}

static void shelf_reset(struct shelf *s)
{
	mutex_lock(&s->lock);
	s->used = 0;
	mutex_unlock(&s->lock);
}

static void shelf_free(struct kref *ref)
{
	struct shelf *s = container_of(ref, struct shelf, users);

	kfree(s);
}

static void shelf_empty(struct shelf *s)
{
	mutex_lock(&s->lock);
	s->used = 0;
	mutex_unlock(&s->lock);
}

static void shelf_release(struct shelf *s)
{
	if (refcount_dec_and_test(&s->users.refcount)) {
		shelf_empty(s);
		shelf_free(&s->users);
	}
}

static int shelf_used(struct shelf *s)
{
	return s->used;
}

static void shelf_set(struct shelf *s, int used)
{
	down_write(&s->sem);
	s->used = used;
	up_write(&s->sem);
}

static bool shelf_full(struct shelf *s)
{
	bool full;

	down_read(&s->sem);
	full = shelf_used(s) > 9;
	up_read(&s->sem);
	return full;
}
