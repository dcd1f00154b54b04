// SPDX-License-Identifier: GPL-2.0
/* A lamp that is set through sysfs. */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/sysfs.h>

struct lamp {
	struct device *dev;
	struct mutex lock;
	int level;
	bool sealed;
};

static ssize_t level_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct lamp *l = dev_get_drvdata(dev);
	int level;

	mutex_lock(&l->lock);
	level = l->level;
	mutex_unlock(&l->lock);
	return sysfs_emit(buf, "%d\n", level);
}
static DEVICE_ATTR_RO(level);

static ssize_t colour_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "white\n");
}
static DEVICE_ATTR_RO(colour);

static void lamp_seal(struct device *dev, struct lamp *l)
{
	l->sealed = true;
}

static ssize_t seal_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	struct lamp *l = dev_get_drvdata(dev);

	lamp_seal(dev, l);
	return count;
}
static DEVICE_ATTR_WO(seal);

static struct attribute *lamp_attrs[] = {
	&dev_attr_level.attr,
	&dev_attr_seal.attr,
	NULL
};
ATTRIBUTE_GROUPS(lamp);

static void lamp_hide(struct lamp *l)
{
	l->level = 0;
	device_remove_groups(l->dev, lamp_groups);
}

static int lamp_probe(struct platform_device *pdev)
{
	struct lamp *l = devm_kzalloc(&pdev->dev, sizeof(*l), GFP_KERNEL);
	int ret;

	if (!l)
		return -ENOMEM;
	mutex_init(&l->lock);
	l->dev = &pdev->dev;
	platform_set_drvdata(pdev, l);
	ret = device_add_groups(l->dev, lamp_groups);
	if (ret)
		return ret;
	return device_create_file(l->dev, &dev_attr_colour);
}

static void lamp_remove(struct platform_device *pdev)
{
	struct lamp *l = platform_get_drvdata(pdev);

	mutex_lock(&l->lock);
	l->level = -1;
	mutex_unlock(&l->lock);
	device_remove_file(l->dev, &dev_attr_colour);
	lamp_hide(l);
}

static struct platform_driver lamp_driver = {
	.probe = lamp_probe,
	.remove = lamp_remove,
};
module_platform_driver(lamp_driver);
MODULE_LICENSE("GPL");
