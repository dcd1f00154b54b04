# A snapshot over its copy threshold with a file system on it, whose journal writes data with flushes, which the device's work
# sends on; and whose free space is discarded, in bios that are split, so that there is something to be left to that work.
setup() {
	echo 1 > /sys/module/dm_snapshot/parameters/snapshot_cow_threshold
	mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/ram0 16M > /tmp/said 2>&1 || failed "no file system: $(tail -n 1 /tmp/said)"
	mapped first 0 32768 delay /dev/ram0 0 $((40 + 10 * RUN))
	mapped slow 0 65536 delay /dev/ram3 0 100
	mapped snap 0 32768 snapshot /dev/mapper/first /dev/mapper/slow N 64 2 discard_zeroes_cow discard_passdown_origin
	mount -t ext4 -o discard /dev/mapper/snap /mnt || failed "no file system"
}

writing() {
	for n in 1 2 3 4; do
		dd if=/dev/zero of=/mnt/file$1 bs=64k count=8 conv=fsync
		rm /mnt/file$1
	done
}

discarding() {
	for n in 1 2 3; do
		sleep 0.3
		fstrim /mnt
	done
}

start() {
	for n in 1 2 3 4; do task writer writing $n; done
	task discarder discarding
	for n in 1 2; do task reader dd if=/dev/mapper/snap of=/dev/null bs=256k count=12 iflag=direct; done
}
