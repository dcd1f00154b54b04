// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files whose blocks are counted, and the names of the volumes that they are on.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct tally {
	struct mutex lock;
	u64 blocks;
	u64 files;
	char __rcu *name;
};

static vm_fault_t tally_page_mkwrite(struct vm_fault *vmf)
{
	struct tally *t = file_inode(vmf->vma->vm_file)->i_private;

	mutex_lock(&t->lock);
	t->blocks++;
	mutex_unlock(&t->lock);
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct tally_vm_ops = {
	.fault		= filemap_fault,
	.page_mkwrite	= tally_page_mkwrite,
};

static long tally_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct tally *t = file_inode(file)->i_private;
	u64 blocks;

	mutex_lock(&t->lock);
	blocks = t->blocks;
	mutex_unlock(&t->lock);
	if (copy_to_user((void __user *)arg, &blocks, sizeof(blocks)))
		return -EFAULT;
	return 0;
}

static int tally_open(struct inode *inode, struct file *file)
{
	struct tally *t = inode->i_private;
	struct path path;
	char *name;
	int err;

	name = kmalloc(NAME_MAX, GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	rcu_read_lock();
	strscpy(name, rcu_dereference(t->name), NAME_MAX);
	rcu_read_unlock();
	err = kern_path(name, LOOKUP_FOLLOW, &path);
	kfree(name);
	if (err)
		return err;
	path_put(&path);
	return 0;
}

static const struct file_operations tally_fops = {
	.open		= tally_open,
	.unlocked_ioctl	= tally_ioctl,
};
