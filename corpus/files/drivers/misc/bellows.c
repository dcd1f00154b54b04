// SPDX-License-Identifier: GPL-2.0
/* Bellows: puffs are queued, blown one after the other, and given up when the valve sticks. */
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct bellows;

struct puff {
	struct work_struct work;
	struct list_head list;
	struct bellows *of;
	bool left;
};

struct bellows {
	spinlock_t lock;
	struct list_head puffs;
	struct puff *now;
	struct workqueue_struct *wq;
	struct task_struct *minder;
	void __iomem *regs;
	bool stuck;
};

static struct puff *bellows_next(struct bellows *b)
{
	struct puff *p;

	spin_lock(&b->lock);
	p = list_first_entry_or_null(&b->puffs, struct puff, list);
	if (p)
		list_del(&p->list);
	spin_unlock(&b->lock);
	return p;
}

static void bellows_cancel(struct puff *p)
{
	if (cancel_work_sync(&p->work))
		kfree(p);
}

static void bellows_give_up(struct bellows *b)
{
	struct puff *p;

	while ((p = bellows_next(b)))
		bellows_cancel(p);
	if (b->now) {
		p = b->now;
		if (current_work() == &p->work) {
			p->left = true;
			return;
		}
		bellows_cancel(p);
	}
}

static void bellows_unstick(struct bellows *b)
{
	writel(1, b->regs + 8);
	bellows_give_up(b);
	b->stuck = false;
}

static void bellows_blow(struct work_struct *work)
{
	struct puff *p = container_of(work, struct puff, work);
	struct bellows *b = p->of;

	b->now = p;
	writel(1, b->regs);
	if (readl(b->regs + 4))
		bellows_unstick(b);
	b->now = NULL;
}

static void bellows_rest(struct bellows *b)
{
	if (current != b->minder)
		kthread_stop(b->minder);
	writel(0, b->regs);
}

static int bellows_minder(void *data)
{
	struct bellows *b = data;

	while (!kthread_should_stop()) {
		if (readl(b->regs + 12))
			bellows_rest(b);
		schedule_timeout_interruptible(HZ);
	}
	return 0;
}

int bellows_puff(struct bellows *b)
{
	struct puff *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	p->of = b;
	INIT_WORK(&p->work, bellows_blow);
	spin_lock(&b->lock);
	list_add_tail(&p->list, &b->puffs);
	spin_unlock(&b->lock);
	queue_work(b->wq, &p->work);
	return 0;
}
EXPORT_SYMBOL_GPL(bellows_puff);

static int bellows_probe(struct platform_device *pdev)
{
	struct bellows *b = devm_kzalloc(&pdev->dev, sizeof(*b), GFP_KERNEL);

	if (!b)
		return -ENOMEM;
	spin_lock_init(&b->lock);
	INIT_LIST_HEAD(&b->puffs);
	b->wq = alloc_workqueue("bellows", 0, 0);
	if (!b->wq)
		return -ENOMEM;
	b->minder = kthread_run(bellows_minder, b, "bellows");
	platform_set_drvdata(pdev, b);
	return 0;
}

static void bellows_remove(struct platform_device *pdev)
{
	struct bellows *b = platform_get_drvdata(pdev);

	bellows_rest(b);
	bellows_unstick(b);
	destroy_workqueue(b->wq);
}

static struct platform_driver bellows_driver = {
	.probe = bellows_probe,
	.remove = bellows_remove,
};
module_platform_driver(bellows_driver);
MODULE_LICENSE("GPL");
