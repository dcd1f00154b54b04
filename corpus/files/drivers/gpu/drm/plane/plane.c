// SPDX-License-Identifier: GPL-2.0
#include <linux/ww_mutex.h>

struct plane {
	struct ww_mutex mutex;
	int height;
	int users;
};

static inline int plane_lock(struct plane *plane, struct ww_acquire_ctx *ctx)
{
	return ww_mutex_lock(&plane->mutex, ctx);
}

int plane_height(struct plane *plane, struct ww_acquire_ctx *ctx)
{
	int height = plane_lock(plane, ctx);

	if (height)
		return height;
	height = plane->height;
	ww_mutex_unlock(&plane->mutex);
	return height;
}

int plane_lift(struct plane *plane, int by, struct ww_acquire_ctx *ctx)
{
	int height;

	plane_lock(plane, NULL);
	height = plane->height + by;
	plane->height = height;
	ww_mutex_unlock(&plane->mutex);
	return height;
}
