// SPDX-License-Identifier: GPL-2.0
/* The core of a winch: what it pulls, and how long. */
#include <linux/module.h>
#include <linux/mutex.h>
#include "../winch.h"

void winch_timeout(struct winch *w)
{
	spin_lock_bh(&w->lock);
	w->late++;
	spin_unlock_bh(&w->lock);
}

void winch_pulled(struct winch *w)
{
	spin_lock_bh(&w->lock);
	w->pulls++;
	if (w->timed) {
		spin_unlock_bh(&w->lock);
		timer_delete_sync(&w->limit);
		spin_lock_bh(&w->lock);
		w->timed = false;
	}
	spin_unlock_bh(&w->lock);
}
