setup() {
	echo 1 > /sys/module/dm_snapshot/parameters/snapshot_cow_threshold
	mapped slow 0 8192 delay /dev/ram3 0 $((150 + 50 * RUN))
	mapped origin 0 4096 snapshot-origin /dev/ram0
	mapped snap 0 4096 snapshot /dev/ram0 /dev/mapper/slow N 16
}

start() {
	for n in 1 2 3 4 5 6; do
		task writer dd if=/dev/zero of=/dev/mapper/origin bs=4k count=8 seek=$((n * 64)) oflag=direct
	done
	for n in 1 2 3; do
		task writer dd if=/dev/zero of=/dev/mapper/snap bs=4k count=8 seek=$((n * 64 + 32)) oflag=direct
	done
	sleep 0.$((2 + RUN % 4))
	task looker dmsetup status snap
	task snapshotter dmsetup create second --table "0 4096 snapshot /dev/ram5 /dev/ram6 N 16"
}
