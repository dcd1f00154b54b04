. /lib/driver/verity

setup() {
	hashed
	verity lower /dev/ram0
	verity upper /dev/mapper/lower
	mapped snap 0 4096 snapshot /dev/mapper/upper /dev/ram3 N 16
	dd if=/dev/mapper/upper of=/dev/null bs=4k count=512 iflag=direct # the hashes are in memory now
	dd if=/dev/zero of=/dev/mapper/snap bs=4k count=1 seek=400 oflag=direct
	corrupt $((100 + 8 * RUN)) 1
	mark_threads 'kworker*' kthreadd
	failing
}

start() {
	task writer dd if=/dev/zero of=/dev/mapper/snap bs=4k count=1 seek=$((100 + 8 * RUN)) oflag=direct
}
