// SPDX-License-Identifier: GPL-2.0
/* Beacons: each is a device of its own, whose files in sysfs set it. */
#include <linux/device.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

struct beacon {
	struct device dev;
	struct mutex lock;
	struct list_head node;
	unsigned int rate;
	bool off;
};

static LIST_HEAD(beacons);
static DEFINE_MUTEX(beacons_lock);

static struct beacon *to_beacon(struct device *dev)
{
	return container_of(dev, struct beacon, dev);
}

static ssize_t rate_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	struct beacon *b = to_beacon(dev);

	mutex_lock(&b->lock);
	b->rate = count;
	mutex_unlock(&b->lock);
	return count;
}
static DEVICE_ATTR_WO(rate);

static ssize_t off_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", to_beacon(dev)->off);
}
static DEVICE_ATTR_RO(off);

static struct attribute *beacon_attrs[] = {
	&dev_attr_rate.attr,
	&dev_attr_off.attr,
	NULL
};
ATTRIBUTE_GROUPS(beacon);

static void beacon_release(struct device *dev)
{
	kfree(to_beacon(dev));
}

static void beacon_put_out(struct beacon *b)
{
	mutex_lock(&beacons_lock);
	list_del(&b->node);
	mutex_unlock(&beacons_lock);

	mutex_lock(&b->lock);
	b->off = true;
	mutex_unlock(&b->lock);
	device_del(&b->dev);
	put_device(&b->dev);
}

int beacon_light(struct device *parent)
{
	struct beacon *b = kzalloc(sizeof(*b), GFP_KERNEL);
	int ret;

	if (!b)
		return -ENOMEM;
	mutex_init(&b->lock);
	b->dev.parent = parent;
	b->dev.groups = beacon_groups;
	b->dev.release = beacon_release;
	ret = device_register(&b->dev);
	if (ret) {
		put_device(&b->dev);
		return ret;
	}
	mutex_lock(&beacons_lock);
	list_add(&b->node, &beacons);
	mutex_unlock(&beacons_lock);
	return 0;
}

void beacons_put_out(void)
{
	struct beacon *b, *next;
	LIST_HEAD(gone);

	mutex_lock(&beacons_lock);
	list_splice_init(&beacons, &gone);
	mutex_unlock(&beacons_lock);
	list_for_each_entry_safe(b, next, &gone, node)
		beacon_put_out(b);
}
