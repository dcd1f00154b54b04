// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk whose blocks are in a file.
 */
#include <linux/blk-mq.h>
#include <linux/fs.h>
#include <linux/pagemap.h>

struct filed {
	struct file *file;
	gfp_t old_mask;
	struct blk_mq_tag_set set;
};

static blk_status_t filed_queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct request *rq = bd->rq;
	struct filed *f = rq->q->queuedata;

	blk_mq_start_request(rq);
	blk_mq_end_request(rq, vfs_fsync(f->file, 0) ? BLK_STS_IOERR : BLK_STS_OK);
	return BLK_STS_OK;
}

static const struct blk_mq_ops filed_mq_ops = {
	.queue_rq	= filed_queue_rq,
};

static void filed_attach(struct filed *f, struct file *file)
{
	f->file = file;
	f->old_mask = mapping_gfp_mask(file->f_mapping);
	mapping_set_gfp_mask(file->f_mapping, f->old_mask & ~(__GFP_IO | __GFP_FS));
}

static void filed_detach(struct filed *f)
{
	mapping_set_gfp_mask(f->file->f_mapping, f->old_mask);
	fput(f->file);
}

int filed_change(struct filed *f, struct file *file)
{
	filed_detach(f);
	filed_attach(f, file);
	f->set.ops = &filed_mq_ops;
	return 0;
}
