#include <linux/spinlock.h>
#include "crane.h"

static void crane_pci_write(struct crane *crane, int value)
{
	writel(value, crane->base);
}

static const struct crane_ops crane_pci_ops = {
	.write = crane_pci_write,
};

int crane_pci_probe(struct crane *crane)
{
	crane->ops = &crane_pci_ops;
	spin_lock(&crane->hook);
	crane->load = 0;
	spin_unlock(&crane->hook);
	return 0;
}
