. /lib/driver/life
. /lib/driver/files
TYPE=btrfs

on() { mkfs.btrfs -q -f $2 $1 && lived_in ${1%% *} $3; }

snapshots() {
	btrfs subvolume create /mnt/sub
	trees /mnt/sub
	for n in 1 2 3; do
		btrfs subvolume snapshot /mnt/sub /mnt/snap$n
		btrfs subvolume snapshot -r /mnt/sub /mnt/read$n
		data /mnt/snap$n/data
	done
	btrfs send -p /mnt/read1 -f /tmp/sent /mnt/read3
	btrfs receive -f /tmp/sent /mnt/two
	btrfs subvolume list /mnt
	btrfs inspect-internal rootid /mnt/sub
	btrfs inspect-internal inode-resolve 257 /mnt/sub
	btrfs inspect-internal logical-resolve 30408704 /mnt
	btrfs subvolume delete /mnt/snap1 /mnt/read1
	btrfs subvolume sync /mnt &
	btrfs subvolume delete /mnt/sub /mnt/snap2
	wait $!
	btrfs property set /mnt/read2 ro false
}

groups() {
	btrfs quota enable /mnt
	btrfs qgroup create 1/0 /mnt
	btrfs qgroup assign 0/5 1/0 /mnt
	btrfs qgroup limit 100M 1/0 /mnt
	btrfs quota rescan -w /mnt &
	trees /mnt/two
	btrfs subvolume snapshot -i 1/0 /mnt /mnt/grouped
	btrfs qgroup remove 0/5 1/0 /mnt
	btrfs qgroup show /mnt
	wait $!
	btrfs qgroup clear-stale /mnt
	btrfs quota rescan /mnt
	btrfs quota disable /mnt
	btrfs quota enable --simple /mnt
	btrfs quota disable /mnt
}

balanced() {
	data /mnt/two/balanced &
	btrfs balance start --full-balance /mnt &
	sleep 1
	btrfs balance pause /mnt
	btrfs balance status /mnt
	umount /mnt || mount -o remount,ro /mnt
	mount -t btrfs $1 /mnt || mount -o remount,rw /mnt
	sleep 1
	fsfreeze --freeze /mnt; sleep 1; fsfreeze --unfreeze /mnt
	btrfs balance cancel /mnt
	btrfs balance start -dusage=90 -musage=90 -susage=90 -f /mnt
	btrfs scrub start -B /mnt
	btrfs filesystem defragment -r -czstd /mnt/two
	btrfs filesystem defragment -r -t 32k /mnt/two
	btrfs filesystem sync /mnt
	btrfs filesystem usage /mnt
	wait
}

devices() {
	btrfs device add -f /dev/ram7 /mnt
	btrfs replace start -f -B 1 /dev/ram6 /mnt
	btrfs balance start -f -dconvert=raid1 -mconvert=raid1 /mnt
	btrfs balance start -f -dconvert=single -mconvert=dup /mnt
	btrfs device delete /dev/ram7 /mnt
	btrfs filesystem resize 200m /mnt
	btrfs filesystem resize max /mnt
	btrfs device stats -z /mnt
	btrfs device scan
}
swap() { swap_file /mnt/swap; }
seeded() {
	mkfs.btrfs -q -f /dev/ram4 && mount -t btrfs /dev/ram4 /mnt && trees /mnt; umount /mnt
	btrfstune -S 1 /dev/ram4
	mount -t btrfs /dev/ram4 /mnt
	btrfs device add -f /dev/ram5 /mnt
	mount -o remount,rw /mnt
	trees /mnt
	btrfs device delete /dev/ram4 /mnt
	umount /mnt
}
degraded() {
	mkfs.btrfs -q -f -draid1 -mraid1 /dev/ram2 /dev/ram3 && mount -t btrfs /dev/ram2 /mnt && data /mnt/data; umount /mnt
	dd if=/dev/zero of=/dev/ram3 bs=1M count=1
	btrfs device scan --forget
	mount -t btrfs -o degraded /dev/ram2 /mnt
	trees /mnt
	btrfs replace start -f -B 2 /dev/ram3 /mnt
	btrfs scrub start -B /mnt
	umount /mnt
}

plain() { PARTS="snapshots balanced swap" on /dev/ram0 "" space_cache=v2,autodefrag; }
qgroups() { PARTS="groups snapshots" on /dev/ram1 "-O quota" compress=lzo; }
several() { PARTS="devices" on "/dev/ram2 /dev/ram3" "" discard=async,commit=1; }
interrupted() { disk disk && PARTS="balanced" on /dev/disk "" flushoncommit,discard && no_disk disk; }
mixed() { PARTS=snapshots on /dev/ram5 "--mixed -O ^no-holes" nodatacow,max_inline=0,notreelog; }
# What a log of a tree leaves is replayed at the next mount.
logged() {
	mkfs.btrfs -q -f /dev/ram6 && mount -t btrfs /dev/ram6 /mnt || return
	trees /mnt
	for n in 1 2 3; do
		for file in /mnt/a*/b /mnt/a*/small5 /mnt/a*; do ln $file $file.new; mv $file $file.old; xfs_io -c fsync $file.old; done
		dd if=/dev/ram6 of=/tmp/copy bs=1M count=64
	done
	umount /mnt
	mount -t btrfs -o clear_cache /dev/ram6 /mnt && umount /mnt
	rm -f /tmp/copy
}
faulty() {
	mkfs.btrfs -q -f /dev/ram6 && mount -t btrfs /dev/ram6 /mnt || return
	failing_memory trees /mnt
	failing_memory data /mnt/data
	PERCENT=10 failing_memory btrfs subvolume snapshot /mnt /mnt/snap
	failing_io /dev/ram6 data /mnt/other
	umount /mnt
}

setup() { :; }
start() {
	task life lived plain qgroups several interrupted mixed seeded degraded logged faulty
	task shrinker shrinking 60
}
