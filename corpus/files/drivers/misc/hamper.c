// SPDX-License-Identifier: GPL-2.0
/* Hampers below a PCI bus, opened and closed together. */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rwsem.h>

extern struct rw_semaphore pci_bus_sem;

struct hamper {
	struct pci_bus *bus;
	int open;
};

static void hamper_note(struct pci_bus *bus, struct hamper *h)
{
	down_read(&pci_bus_sem);
	h->open += !list_empty(&bus->devices);
	up_read(&pci_bus_sem);
}

static int hamper_visit(struct pci_dev *dev, void *data)
{
	struct hamper *h = data;

	h->open++;
	return 0;
}

void hamper_add(struct pci_bus *bus, struct pci_dev *dev)
{
	down_write(&pci_bus_sem);
	list_add_tail(&dev->bus_list, &bus->devices);
	up_write(&pci_bus_sem);
}

int hamper_count(struct hamper *h)
{
	h->open = 0;
	pci_walk_bus(h->bus, hamper_visit, h);
	return h->open;
}

int hamper_count_all(struct hamper *h)
{
	hamper_note(h->bus, h);
	return hamper_count(h);
}
