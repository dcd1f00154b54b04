struct quay;

struct berth {
	struct quay *quay;
	const struct berth_ops *ops;
	int ships;
};

struct berth_ops {
	int (*moor)(struct berth *berth);
	void (*tick)(struct berth *berth);
};

struct quay {
	struct mutex lock;
	spinlock_t bell;
	int depth;
};

int quay_depth(struct quay *quay);
