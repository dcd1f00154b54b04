. /lib/driver/verity

# The lower device reads slowly, so that all readers of the upper one are at it before the first comes down.
setup() {
	hashed
	mapped slow 0 4096 delay /dev/ram0 0 $((90 + 10 * RUN))
	verity lower /dev/mapper/slow
	verity upper /dev/mapper/lower
	dd if=/dev/mapper/upper of=/dev/null bs=4k count=512 iflag=direct
	corrupt 100 64
	echo 1 > /sys/kernel/slab/io/failslab || failed "no slab io of its own"
	echo Y > $SLAB/cache-filter; echo N > $SLAB/ignore-gfp-wait; echo -1 > $SLAB/times; echo 0 > $SLAB/verbose
	echo 100 > $SLAB/probability
}

start() {
	for n in $(seq 40); do
		task reader dd if=/dev/mapper/upper of=/dev/null bs=4k count=1 skip=$((100 + n)) iflag=direct
	done
}
