// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A filesystem that keeps a table of blocks for each inode and one for all.
 */
#include <linux/fs.h>
#include <linux/slab.h>

struct keep_sb_info {
	struct mutex map_lock;
	unsigned int *map;
};

struct keep_inode_info {
	struct mutex table_lock;
	unsigned int *table;
	struct inode vfs_inode;
};

static inline struct keep_inode_info *KEEP_I(struct inode *inode)
{
	return container_of(inode, struct keep_inode_info, vfs_inode);
}

static int keep_grow(struct inode *inode, unsigned int size)
{
	struct keep_inode_info *ki = KEEP_I(inode);
	unsigned int *table;

	mutex_lock(&ki->table_lock);
	table = kmalloc(size, GFP_NOFS);
	if (table)
		ki->table = table;
	mutex_unlock(&ki->table_lock);
	return table ? 0 : -ENOMEM;
}

static int keep_reserve(struct super_block *sb, unsigned int size)
{
	struct keep_sb_info *sbi = sb->s_fs_info;
	struct address_space *mapping = sb->s_root->d_inode->i_mapping;
	struct folio *folio;

	mutex_lock(&sbi->map_lock);
	folio = __filemap_get_folio(mapping, size, FGP_LOCK | FGP_CREAT, GFP_NOFS);
	if (!IS_ERR(folio))
		sbi->map = folio_address(folio);
	mutex_unlock(&sbi->map_lock);
	return PTR_ERR_OR_ZERO(folio);
}

static long keep_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file->f_inode;

	return keep_reserve(inode->i_sb, len) ?: keep_grow(inode, len);
}

static void keep_evict_inode(struct inode *inode)
{
	struct keep_inode_info *ki = KEEP_I(inode);
	struct keep_sb_info *sbi = inode->i_sb->s_fs_info;

	mutex_lock(&ki->table_lock);
	kfree(ki->table);
	mutex_unlock(&ki->table_lock);
	mutex_lock(&sbi->map_lock);
	sbi->map[inode->i_ino] = 0;
	mutex_unlock(&sbi->map_lock);
}

static int keep_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct keep_inode_info *ki = KEEP_I(mapping->host);

	mutex_lock(&ki->table_lock);
	mutex_unlock(&ki->table_lock);
	return 0;
}

static const struct file_operations keep_file_operations = {
	.fallocate	= keep_fallocate,
};

static const struct address_space_operations keep_aops = {
	.writepages	= keep_writepages,
};

static const struct super_operations keep_sops = {
	.evict_inode	= keep_evict_inode,
};
