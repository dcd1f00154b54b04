// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A tree of boxes that is walked from a leaf to the root.
 */
#include <linux/mutex.h>
#include <linux/fs.h>

static DEFINE_MUTEX(leaves);

struct leaf {
	struct box *box;
	int seen;
};

struct box {
	struct box *parent;
	struct leaf *first;
	int count;
};

typedef bool (*up_f)(struct box *box);

static void walk_from(up_f up, struct box *box)
{
	do {
		if (up(box))
			break;
		box = box->parent;
	} while (box);
}

static void walk(up_f up, struct leaf *leaf)
{
	walk_from(up, leaf->box);
}

static bool up_count(struct box *box)
{
	box->count++;
	return false;
}

static bool up_look(struct box *box)
{
	struct leaf *leaf = box->first;

	mutex_lock(&leaves);
	leaf->seen++;
	mutex_unlock(&leaves);
	return false;
}

static void walk_locked(up_f up, struct leaf *leaf)
{
	lockdep_assert_held(&leaves);
	walk(up, leaf);
}

static ssize_t leaf_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct leaf *leaf = file->private_data;

	if (!len)
		return 0;
	mutex_lock(&leaves);
	walk_locked(&up_count, leaf);
	mutex_unlock(&leaves);
	return len;
}

static ssize_t leaf_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct leaf *leaf = file->private_data;

	up_look(leaf->box);
	return 0;
}

static const struct file_operations leaf_fops = {
	.read	= leaf_read,
	.write	= leaf_write,
};
