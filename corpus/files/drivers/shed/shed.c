// SPDX-License-Identifier: GPL-2.0
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>

struct shed {
	struct mutex lock;
	struct list_head tools;
	int lent;
};

struct tool {
	struct list_head list;
	struct shed *home;
	struct tool *twin;
	bool dull;
};

static void tool_drop_locked(struct tool *tool)
{
	list_del_init(&tool->list);
	tool->home->lent--;
}

void tool_drop(struct tool *tool)
{
	mutex_lock(&tool->home->lock);
	tool_drop_locked(tool);
	mutex_unlock(&tool->home->lock);
}

static int shed_sort(struct shed *shed)
{
	struct tool *tool, *next;
	int dropped = 0;

	list_for_each_entry_safe(tool, next, &shed->tools, list) {
		if (!tool->dull)
			continue;
		tool_drop_locked(tool);
		dropped++;
	}
	return dropped;
}

int shed_tidy(struct shed *shed)
{
	int dropped;

	mutex_lock(&shed->lock);
	dropped = shed_sort(shed);
	mutex_unlock(&shed->lock);
	return dropped;
}
