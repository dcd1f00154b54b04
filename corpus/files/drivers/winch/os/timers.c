// SPDX-License-Identifier: GPL-2.0
/* What of a winch is Linux: timers and the like. */
#include <linux/module.h>
#include "../winch.h"

static void winch_limit(struct timer_list *t)
{
	struct winch *w = timer_container_of(w, t, limit);

	winch_timeout(w);
}

void winch_setup(struct winch *w)
{
	spin_lock_init(&w->lock);
	timer_setup(&w->limit, winch_limit, 0);
}
