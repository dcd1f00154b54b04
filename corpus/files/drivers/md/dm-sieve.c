// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A read-only target that checks each block after it has been read.
 */
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/workqueue.h>

struct sieve {
	struct dm_dev *dev;
	struct workqueue_struct *check_wq;
	struct workqueue_struct *stats_wq;
	struct work_struct stats_work;
	unsigned long checked;
};

struct sieve_io {
	struct sieve *s;
	struct work_struct work;
	bio_end_io_t *orig_end_io;
};

static int sieve_compare(struct sieve *s, struct bio *bio);

static void sieve_work(struct work_struct *w)
{
	struct sieve_io *io = container_of(w, struct sieve_io, work);
	struct bio *bio = dm_bio_from_per_bio_data(io, sizeof(struct sieve_io));

	if (sieve_compare(io->s, bio))
		bio->bi_status = BLK_STS_IOERR;
	bio->bi_end_io = io->orig_end_io;
	bio_endio(bio);
}

static void sieve_end_io(struct bio *bio)
{
	struct sieve_io *io = bio->bi_private;

	INIT_WORK(&io->work, sieve_work);
	queue_work(io->s->check_wq, &io->work);
}

static int sieve_map(struct dm_target *ti, struct bio *bio)
{
	struct sieve *s = ti->private;
	struct sieve_io *io = dm_per_bio_data(bio, sizeof(struct sieve_io));

	io->s = s;
	io->orig_end_io = bio->bi_end_io;
	bio_set_dev(bio, s->dev->bdev);
	bio->bi_end_io = sieve_end_io;
	bio->bi_private = io;
	submit_bio_noacct(bio);

	return DM_MAPIO_SUBMITTED;
}

static void sieve_stats(struct work_struct *w)
{
	struct sieve *s = container_of(w, struct sieve, stats_work);

	pr_info("%lu blocks checked\n", s->checked);
}

static int sieve_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	struct sieve *s = ti->private;

	queue_work(s->stats_wq, &s->stats_work);
	return 0;
}

static int sieve_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct sieve *s;

	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;

	INIT_WORK(&s->stats_work, sieve_stats);
	s->check_wq = alloc_workqueue("ksieved", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	if (!s->check_wq)
		goto bad;
	s->stats_wq = alloc_workqueue("sieve_stats", WQ_MEM_RECLAIM, 0);
	if (!s->stats_wq)
		goto bad_stats;

	ti->private = s;
	return 0;

bad_stats:
	destroy_workqueue(s->check_wq);
bad:
	kfree(s);
	return -ENOMEM;
}

static struct target_type sieve_target = {
	.name		= "sieve",
	.module		= THIS_MODULE,
	.ctr		= sieve_ctr,
	.map		= sieve_map,
	.message	= sieve_message,
};
module_dm(sieve);
