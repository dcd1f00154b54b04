// SPDX-License-Identifier: GPL-2.0
/* A network device that passes packets on; its mode stands in a file of sysfs. */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>
#include <linux/sysfs.h>

struct relay {
	struct net_device *dev;
	struct mutex lock;
	unsigned int mode;
	unsigned int gain;
};

static struct net_device *relay_dev(struct device *d)
{
	return container_of(d, struct net_device, dev);
}

static int relay_set_mode(struct relay *r, unsigned int mode)
{
	if (!rtnl_trylock())
		return restart_syscall();
	r->mode = mode;
	netdev_update_features(r->dev);
	rtnl_unlock();
	return 0;
}

static ssize_t mode_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct relay *r = netdev_priv(relay_dev(d));

	return sysfs_emit(buf, "%u\n", r->mode);
}

static ssize_t mode_store(struct device *d, struct device_attribute *attr, const char *buf, size_t count)
{
	struct net_device *dev = relay_dev(d);
	unsigned int mode;
	int err;

	err = kstrtouint(buf, 0, &mode);
	if (!err)
		err = relay_set_mode(netdev_priv(dev), mode);
	return err ? err : count;
}
static DEVICE_ATTR_RW(mode);

static ssize_t gain_store(struct device *d, struct device_attribute *attr, const char *buf, size_t count)
{
	struct platform_device *pdev = container_of(d, struct platform_device, dev);
	struct relay *r = platform_get_drvdata(pdev);
	unsigned int gain;
	int err;

	err = kstrtouint(buf, 0, &gain);
	if (err)
		return err;
	mutex_lock(&r->lock);
	r->gain = gain;
	mutex_unlock(&r->lock);
	return count;
}
static DEVICE_ATTR_WO(gain);

static int relay_probe(struct platform_device *pdev)
{
	struct net_device *dev = alloc_etherdev(sizeof(struct relay));
	struct relay *r;
	int err;

	if (!dev)
		return -ENOMEM;
	r = netdev_priv(dev);
	r->dev = dev;
	mutex_init(&r->lock);
	platform_set_drvdata(pdev, r);
	err = register_netdev(dev);
	if (err)
		return err;
	err = device_create_file(&dev->dev, &dev_attr_mode);
	if (!err)
		err = device_create_file(&pdev->dev, &dev_attr_gain);
	return err;
}

static void relay_remove(struct platform_device *pdev)
{
	struct relay *r = platform_get_drvdata(pdev);

	device_remove_file(&pdev->dev, &dev_attr_gain);
	unregister_netdev(r->dev);
	free_netdev(r->dev);
}

static struct platform_driver relay_driver = {
	.probe = relay_probe,
	.remove = relay_remove,
};
module_platform_driver(relay_driver);
MODULE_LICENSE("GPL");
