// SPDX-License-Identifier: GPL-2.0
/* A host controller that carries transfers by hand: each endpoint has a basket. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/usb.h>
#include <linux/usb/hcd.h>

struct basket {
	struct list_head list;
	struct usb_host_endpoint *ep;
	unsigned int load;
};

struct carrier {
	spinlock_t lock;
	struct list_head baskets;
	unsigned int way;
};

static struct carrier *hcd_to_carrier(struct usb_hcd *hcd)
{
	return (struct carrier *)hcd->hcd_priv;
}

static irqreturn_t carrier_irq(struct usb_hcd *hcd)
{
	struct carrier *c = hcd_to_carrier(hcd);

	spin_lock(&c->lock);
	c->way++;
	spin_unlock(&c->lock);
	return IRQ_HANDLED;
}

static int carrier_urb_enqueue(struct usb_hcd *hcd, struct urb *urb, gfp_t mem_flags)
{
	struct carrier *c = hcd_to_carrier(hcd);
	struct basket *b;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	b = urb->ep->hcpriv;
	if (!b) {
		b = kzalloc(sizeof(*b), GFP_ATOMIC);
		if (!b) {
			spin_unlock_irqrestore(&c->lock, flags);
			return -ENOMEM;
		}
		b->ep = urb->ep;
		urb->ep->hcpriv = b;
		list_add_tail(&b->list, &c->baskets);
	}
	b->load++;
	spin_unlock_irqrestore(&c->lock, flags);
	return 0;
}

static const struct hc_driver carrier_driver = {
	.description = "carrier",
	.irq = carrier_irq,
	.urb_enqueue = carrier_urb_enqueue,
};

int carrier_attach(struct device *dev)
{
	struct usb_hcd *hcd = usb_create_hcd(&carrier_driver, dev, "carrier");

	if (!hcd)
		return -ENOMEM;
	spin_lock_init(&hcd_to_carrier(hcd)->lock);
	INIT_LIST_HEAD(&hcd_to_carrier(hcd)->baskets);
	return usb_add_hcd(hcd, 0, 0);
}
EXPORT_SYMBOL_GPL(carrier_attach);
MODULE_LICENSE("GPL");
