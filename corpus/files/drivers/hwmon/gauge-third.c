// SPDX-License-Identifier: GPL-2.0
/* A gauge that is read now and then, and reset when it hangs. */
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

struct gauge {
	struct device *dev;
	struct gauge *twin;
	struct workqueue_struct *wq;
	struct work_struct reset_work;
	struct delayed_work poll_work;
	struct work_struct event_work;
	struct timer_list watchdog;
	struct task_struct *reader;
	struct completion drained;
	struct mutex lock;
	void __iomem *regs;
	int level;
	bool closing;
};

static int gauge_read(struct gauge *g)
{
	int level;

	mutex_lock(&g->lock);
	level = readl(g->regs);
	mutex_unlock(&g->lock);
	return level;
}

static void gauge_quiet(struct gauge *g)
{
	writel(0, g->regs + 4);
}

static void gauge_halt(struct gauge *g)
{
	gauge_quiet(g);
	cancel_delayed_work_sync(&g->poll_work);
	g->level = 0;
}

static void gauge_start(struct gauge *g)
{
	writel(1, g->regs + 4);
	queue_delayed_work(g->wq, &g->poll_work, HZ);
}

static void gauge_reset_work(struct work_struct *work)
{
	struct gauge *g = container_of(work, struct gauge, reset_work);

	wait_for_completion(&g->drained);
	gauge_start(g);
}

static void gauge_poll_work(struct work_struct *work)
{
	struct gauge *g = container_of(to_delayed_work(work), struct gauge, poll_work);
	int level = gauge_read(g);

	if (level < 0) {
		queue_work(g->wq, &g->reset_work);
		return;
	}
	g->level = level;
	queue_delayed_work(g->wq, &g->poll_work, HZ);
}

static void gauge_event_work(struct work_struct *work)
{
	struct gauge *g = container_of(work, struct gauge, event_work);

	g->level = gauge_read(g);
}

static void gauge_watchdog(struct timer_list *t)
{
	struct gauge *g = from_timer(g, t, watchdog);

	if (g->level > 100)
		gauge_quiet(g);
	mod_timer(&g->watchdog, jiffies + HZ);
}

static int gauge_reader(void *data)
{
	struct gauge *g = data;

	while (!kthread_should_stop()) {
		g->level = gauge_read(g);
		schedule_timeout_interruptible(HZ);
	}
	return 0;
}

static void gauge_close(struct gauge *g)
{
	timer_delete_sync(&g->watchdog);
	cancel_work_sync(&g->reset_work);
	gauge_halt(g);
}

static int gauge_probe(struct platform_device *pdev)
{
	struct gauge *g = devm_kzalloc(&pdev->dev, sizeof(*g), GFP_KERNEL);

	if (!g)
		return -ENOMEM;
	mutex_init(&g->lock);
	init_completion(&g->drained);
	INIT_WORK(&g->reset_work, gauge_reset_work);
	INIT_WORK(&g->event_work, gauge_event_work);
	INIT_DELAYED_WORK(&g->poll_work, gauge_poll_work);
	timer_setup(&g->watchdog, gauge_watchdog, 0);
	g->wq = alloc_ordered_workqueue("gauge", 0);
	if (!g->wq)
		return -ENOMEM;
	g->reader = kthread_run(gauge_reader, g, "gauge");
	platform_set_drvdata(pdev, g);
	gauge_start(g);
	return 0;
}

static void gauge_remove(struct platform_device *pdev)
{
	struct gauge *g = platform_get_drvdata(pdev);

	kthread_stop(g->reader);
	complete(&g->drained);
	gauge_close(g);
	destroy_workqueue(g->wq);
}

static irqreturn_t gauge_irq(int irq, void *data)
{
	struct gauge *g = data;

	queue_work(system_wq, &g->event_work);
	return IRQ_HANDLED;
}

static struct platform_driver gauge_driver = {
	.probe = gauge_probe,
	.remove = gauge_remove,
};
module_platform_driver(gauge_driver);
MODULE_LICENSE("GPL");
