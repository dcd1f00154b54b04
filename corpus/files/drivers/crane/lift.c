#include <linux/spinlock.h>
#include "crane.h"

void crane_brake(struct crane *crane, bool on)
{
	if (on)
		crane_write(crane, 1);
	else
		crane->load--;
}

void crane_lift(struct crane *crane)
{
	spin_lock(&crane->hook);
	crane->load++;
	spin_unlock(&crane->hook);
}
