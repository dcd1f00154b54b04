# A target with dirty buffers on a slow disk on a loop device on a file system; who evicts them holds their lock, and the
# worker of the loop device has the shrinkers called at each page that it takes for that.
setup() {
	echo 0 > /sys/module/dm_bufio/parameters/retain_bytes
	mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/ram0 24M > /tmp/said 2>&1 || failed "no file system: $(tail -n 1 /tmp/said)"
	mount -t ext4 /dev/ram0 /mnt || failed "no file system"
	dd if=/dev/zero of=/mnt/image bs=1M count=8
	sync
	losetup /dev/loop0 /mnt/image || failed "no loop device"
	mapped slow 0 16384 delay /dev/loop0 0 0 /dev/loop0 0 $((90 + 10 * RUN))
	mapped buffered 0 8000 integrity /dev/mapper/slow 0 4 D 2 internal_hash:crc32c buffer_sectors:8
	mark_threads 'kworker/u*' kthreadd
	reclaiming
}

writing() {
	for n in $(seq 4); do
		dd if=/dev/zero of=/dev/mapper/buffered bs=64k count=60 oflag=direct
		sleep 0.3
	done
}

emptying() {
	for n in $(seq 60); do
		sleep 0.17
		echo 3 > /proc/sys/vm/drop_caches
	done
}

start() {
	task writer writing
	task emptier emptying
}
