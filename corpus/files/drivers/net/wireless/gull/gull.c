// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A wireless device that is told by commands, and answers.
 */
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/xarray.h>
#include <net/mac80211.h>

struct gull {
	struct ieee80211_hw *hw;
	struct device *dev;
	int irq;
	struct completion answered;
	spinlock_t nest_lock;
	spinlock_t song_lock;
	struct timer_list dusk;
	struct xarray flights;
	struct xarray songs;
	unsigned int flown;
	unsigned int sung;
};

static void gull_command(struct gull *g, unsigned int rate)
{
	reinit_completion(&g->answered);
	wait_for_completion(&g->answered);
	g->flown = rate;
}

static irqreturn_t gull_cries(int irq, void *data)
{
	struct gull *g = data;

	spin_lock(&g->nest_lock);
	g->flown++;
	spin_unlock(&g->nest_lock);
	xa_lock(&g->flights);
	g->sung += !xa_empty(&g->flights);
	xa_unlock(&g->flights);
	complete(&g->answered);
	return IRQ_HANDLED;
}

static void gull_dusk(struct timer_list *t)
{
	struct gull *g = from_timer(g, t, dusk);
	unsigned long flags;

	spin_lock_irqsave(&g->nest_lock, flags);
	g->flown = 0;
	spin_unlock_irqrestore(&g->nest_lock, flags);
	spin_lock_irqsave(&g->song_lock, flags);
	g->sung = 0;
	spin_unlock_irqrestore(&g->song_lock, flags);
}

static void gull_forget(struct gull *g, unsigned long id)
{
	xa_erase_irq(&g->flights, id);
	xa_erase_irq(&g->songs, id);
}

static void gull_slow(void *data, struct ieee80211_sta *sta)
{
	gull_command(data, 1);
}

static void gull_count(void *data, struct ieee80211_sta *sta)
{
	struct gull *g = data;

	g->sung++;
}

static void gull_flock(struct gull *g)
{
	ieee80211_iterate_stations(g->hw, gull_slow, g);
	ieee80211_iterate_stations(g->hw, gull_count, g);
}

static int gull_lands(struct gull *g)
{
	timer_setup(&g->dusk, gull_dusk, 0);
	gull_flock(g);
	gull_forget(g, 0);
	return devm_request_irq(g->dev, g->irq, gull_cries, 0, "gull", g);
}
