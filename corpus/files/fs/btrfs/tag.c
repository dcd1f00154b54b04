// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tags of a filesystem: they are read when it is mounted, and counted by a worker.
 */
#include <linux/mutex.h>
#include <linux/workqueue.h>

struct btrfs_tag_info {
	struct btrfs_root *root;
	struct mutex count_lock;
	struct work_struct count_work;
	struct workqueue_struct *wq;
	u64 counted;
	bool behind;
};

static void tag_restart(struct btrfs_tag_info *info)
{
	mutex_lock(&info->count_lock);
	info->counted = 0;
	mutex_unlock(&info->count_lock);
	queue_work(info->wq, &info->count_work);
}

static void tag_count_work(struct work_struct *work)
{
	struct btrfs_tag_info *info = container_of(work, struct btrfs_tag_info, count_work);
	struct btrfs_path *path;
	struct btrfs_key key = { .objectid = 0 };

	path = btrfs_alloc_path();
	if (!path)
		return;
	mutex_lock(&info->count_lock);
	if (btrfs_search_slot_for_read(info->root, &key, path, 1, 0) == 0)
		info->counted++;
	btrfs_release_path(path);
	mutex_unlock(&info->count_lock);
	btrfs_free_path(path);
}

int btrfs_read_tags(struct btrfs_tag_info *info)
{
	struct btrfs_path *path;
	struct btrfs_key key = { .objectid = 0 };
	int ret;

	INIT_WORK(&info->count_work, tag_count_work);
	path = btrfs_alloc_path();
	if (!path)
		return -ENOMEM;
	ret = btrfs_search_slot_for_read(info->root, &key, path, 1, 0);
	if (ret)
		goto out;
	info->behind = btrfs_header_generation(path->nodes[0]) > info->counted;
out:
	btrfs_free_path(path);
	if (ret == 0 && info->behind)
		tag_restart(info);
	return ret;
}
