#include <linux/slab.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

struct wharf {
	bool stores;
	union {
		spinlock_t spin;
		struct mutex mutex;
	};
	void *page;
	int full;
};

static inline void wharf_lock(struct wharf *wharf)
{
	if (!wharf->stores)
		spin_lock(&wharf->spin);
	else
		mutex_lock(&wharf->mutex);
}

static inline void wharf_unlock(struct wharf *wharf)
{
	if (!wharf->stores)
		spin_unlock(&wharf->spin);
	else
		mutex_unlock(&wharf->mutex);
}

static void wharf_store(struct wharf *wharf)
{
	wharf->page = kmalloc(4096, GFP_NOIO);
}

static void wharf_write(struct wharf *wharf)
{
	wharf_lock(wharf);
	wharf->full++;
	wharf_store(wharf);
	wharf_unlock(wharf);
}

static int wharf_full(struct wharf *wharf)
{
	int full;

	wharf_lock(wharf);
	full = wharf->full;
	wharf_unlock(wharf);
	return full;
}
