struct crane;

struct crane_ops {
	void (*write)(struct crane *crane, int value);
};

struct crane {
	const struct crane_ops *ops;
	spinlock_t hook;
	int load;
	void *base;
	struct mutex bus;
};

static inline void crane_write(struct crane *crane, int value)
{
	crane->ops->write(crane, value);
}

void crane_brake(struct crane *crane, bool on);
