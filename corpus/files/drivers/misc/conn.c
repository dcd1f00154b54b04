// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A queue of requests, each with a function that runs at its end.
 */
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/spinlock.h>

struct conn;

struct req {
	struct list_head list;
	struct conn *conn;
	int background;
	void (*end)(struct req *req);
};

struct conn {
	spinlock_t lock;
	spinlock_t bg_lock;
	int connected;
	int running;
	struct list_head bg_queue;
};

static void conn_abort(struct conn *c)
{
	spin_lock(&c->lock);
	c->connected = 0;
	spin_lock(&c->bg_lock);
	c->running = 0;
	spin_unlock(&c->bg_lock);
	spin_unlock(&c->lock);
}

static void init_end(struct req *req)
{
	conn_abort(req->conn);
}

static void read_end(struct req *req)
{
	req->background = 0;
}

static void req_end(struct req *req)
{
	req->end(req);
}

static void req_finish(struct req *req)
{
	struct conn *c = req->conn;

	if (req->background) {
		spin_lock(&c->bg_lock);
		c->running--;
		spin_unlock(&c->bg_lock);
	}
}

static void conn_send(struct conn *c, struct req *req)
{
	if (c->connected)
		c->running++;
}

static ssize_t conn_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct conn *c = file->private_data;
	struct req *req;

	spin_lock(&c->bg_lock);
	req = list_first_entry_or_null(&c->bg_queue, struct req, list);
	if (req)
		conn_send(c, req);
	spin_unlock(&c->bg_lock);
	return len;
}

static ssize_t conn_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct conn *c = file->private_data;
	struct req *req = kzalloc(sizeof(*req), GFP_KERNEL);

	if (!req)
		return -ENOMEM;
	req->conn = c;
	req->end = len ? read_end : init_end;
	conn_send(c, req);
	req_finish(req);
	req_end(req);
	return 0;
}

static long conn_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	conn_abort(file->private_data);
	return 0;
}

static const struct file_operations conn_fops = {
	.read		= conn_read,
	.write		= conn_write,
	.unlocked_ioctl	= conn_ioctl,
};
