#include <linux/spinlock.h>
#include <linux/timer.h>

struct winch {
	spinlock_t lock;
	struct timer_list limit;
	unsigned int pulls;
	unsigned int late;
	bool timed;
};

void winch_timeout(struct winch *w);
void winch_pulled(struct winch *w);
