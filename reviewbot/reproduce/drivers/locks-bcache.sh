. /lib/driver/life

# registered DEVICE...
registered() { for name; do echo $name > /sys/fs/bcache/register; done; }

made() {
	MEGABYTES=4 blank 0 1
	make-bcache --wipe-bcache --bucket 64k -B /dev/ram1 -C /dev/ram0
	registered /dev/ram0 /dev/ram1
	sleep 1
	set=$(ls -d /sys/fs/bcache/*-*)
}

cached() {
	made
	used /dev/bcache0
	for mode in writeback writethrough writearound none writeback; do
		echo $mode > /sys/block/bcache0/bcache/cache_mode
		used /dev/bcache0
	done
	attributes /sys/block/bcache0/bcache $set
	used /dev/bcache0 &
	echo 1 > $set/internal/trigger_gc
	echo 100000 > $set/internal/prune_cache
	echo 0 > /sys/block/bcache0/bcache/writeback_percent
	echo 40 > /sys/block/bcache0/bcache/writeback_percent
	echo 1 > $set/flash_vol_create
	wait $!
}

taken_apart() {
	used /dev/bcache0 &
	echo 1 > /sys/block/bcache0/bcache/detach
	wait $!
	sleep 3
	echo ${set##*/} > /sys/block/bcache0/bcache/attach
	swapped /dev/bcache0
	used /dev/bcache0
	failing_io /dev/ram1 used /dev/bcache0 # of the cache itself it would be the end of this kernel
	echo 1 > /sys/block/bcache0/bcache/stop
	echo 1 > $set/stop
	sleep 3
	registered /dev/ram1 /dev/ram0
	sleep 1
	used /dev/bcache0
	for set in /sys/fs/bcache/*-*; do echo 1 > $set/unregister; done
	sleep 3
	echo 1 > /sys/block/bcache0/bcache/stop
	sleep 3
}

setup() { :; }
start() {
	task life lived cached taken_apart
	task shrinker shrinking 30
}
