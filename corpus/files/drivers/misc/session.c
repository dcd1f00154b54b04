// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replies that are kept for who asks again.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

struct reply {
	char *text;
	size_t len;
};

struct session {
	spinlock_t lock;
	struct reply *kept;
	char inline_text[64];
};

static void session_encode(struct session *s, size_t len)
{
	struct reply *kept = s->kept;

	if (kept)
		kept->len = len;
}

static ssize_t session_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct session *s = file->private_data;

	session_encode(s, len);
	return len;
}

static ssize_t session_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct session *s = file->private_data;

	spin_lock(&s->lock);
	session_encode(s, len);
	spin_unlock(&s->lock);
	return len;
}

static const struct file_operations session_fops = {
	.read	= session_read,
	.write	= session_write,
};
