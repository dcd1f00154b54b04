#include <linux/mutex.h>
#include "crane.h"

static void crane_usb_write(struct crane *crane, int value)
{
	mutex_lock(&crane->bus);
	crane->load = value;
	mutex_unlock(&crane->bus);
}

static const struct crane_ops crane_usb_ops = {
	.write = crane_usb_write,
};

int crane_usb_probe(struct crane *crane)
{
	crane->ops = &crane_usb_ops;
	crane_write(crane, 0);
	return 0;
}
