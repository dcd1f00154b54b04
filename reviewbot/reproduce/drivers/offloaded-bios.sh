# A snapshot over its copy threshold is read, in reads that it splits, and written with flushes, which its work sends on.
setup() {
	echo 1 > /sys/module/dm_snapshot/parameters/snapshot_cow_threshold
	dd if=/dev/urandom of=/dev/ram0 bs=64k count=64
	mapped first 0 8192 delay /dev/ram0 0 $((40 + 10 * RUN))
	mapped slow 0 8192 delay /dev/ram3 0 100
	mapped snap 0 8192 snapshot /dev/mapper/first /dev/mapper/slow N 16
}

start() {
	for n in 1 2 3 4; do
		task reader dd if=/dev/mapper/snap of=/dev/null bs=256k count=12 iflag=direct
	done
	for n in 1 2 3 4; do
		task writer dd if=/dev/zero of=/dev/mapper/snap bs=64k count=12 seek=$((n * 12)) oflag=direct,sync
	done
}
