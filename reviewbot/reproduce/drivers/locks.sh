# The ordinary life of what the storage stack has: made, read, written, flushed, suspended, grown, taken away. Nothing is
# driven into a schedule here; lockdep sees in each single run in which order locks are taken.

# used DEVICE: reads and writes in all ways that there are.
used() {
	dd if=/dev/zero of=$1 bs=64k count=16 oflag=direct
	dd if=/dev/zero of=$1 bs=4k count=64 conv=fsync
	dd if=$1 of=/dev/null bs=64k count=16 iflag=direct
	dd if=$1 of=/dev/null bs=4k count=64
	blkdiscard $1
	sync
}

# target NAME TABLE...: the life of one device-mapper device.
target() {
	name=$1; shift
	echo "$*" | dmsetup create $name && dmsetup mknodes || return
	used /dev/mapper/$name
	used /dev/mapper/$name &
	dmsetup suspend $name
	dmsetup status $name
	dmsetup table $name
	dmsetup resume $name
	wait $!
	echo "$*" | dmsetup reload $name && dmsetup suspend $name && dmsetup resume $name
	used /dev/mapper/$name
	dmsetup suspend --noflush $name && dmsetup resume $name
}
gone() { for name; do dmsetup remove --retry $name; done; }

blank() { for n; do dd if=/dev/zero of=/dev/ram$n bs=1M count=2 conv=notrunc; done; }

plain_targets() {
	target linear 0 16384 linear /dev/ram0 0
	target striped 0 16384 striped 2 16 /dev/ram1 0 /dev/ram2 0
	target delayed 0 16384 delay /dev/ram3 0 5 /dev/ram3 0 5
	target mirrored 0 8192 mirror core 1 64 2 /dev/ram4 0 /dev/ram5 0
	target flaky 0 16384 flakey /dev/ram6 0 5 1
	target crypted 0 8192 crypt aes-xts-plain64 $(printf '%064d' 1) 0 /dev/ram7 0
	gone linear striped delayed mirrored flaky crypted
}

snapshots() {
	target origin 0 8192 snapshot-origin /dev/ram0
	target snap 0 8192 snapshot /dev/ram0 /dev/ram1 P 16
	dmsetup create second --table "0 8192 snapshot /dev/ram0 /dev/ram2 N 16"
	used /dev/mapper/origin
	gone second
	dmsetup suspend origin
	dmsetup suspend snap
	gone snap
	dmsetup create merged --table "0 8192 snapshot-merge /dev/ram0 /dev/ram1 P 16"
	dmsetup resume origin
	sleep 2
	dmsetup status
	gone merged origin
}

caches() {
	blank 0 1 2 3
	target cached 0 8192 cache /dev/ram0 /dev/ram1 /dev/ram2 128 1 writeback smq 0
	dmsetup message cached 0 migration_threshold 1024
	gone cached
	blank 0 1
	target written 0 8192 writecache s /dev/ram0 /dev/ram1 4096 0
	dmsetup message written 0 flush
	gone written
	blank 0 1
	target buffered 0 8000 integrity /dev/ram0 0 4 J 2 internal_hash:crc32c buffer_sectors:8
	gone buffered
	blank 0 1 2
	target cloned 0 8192 clone /dev/ram0 /dev/ram1 /dev/ram2 8
	gone cloned
}

thin_devices() {
	blank 0
	dmsetup create pool --table "0 16384 thin-pool /dev/ram0 /dev/ram1 128 64"
	dmsetup message pool 0 "create_thin 0"
	target thin 0 8192 thin /dev/mapper/pool 0
	dmsetup suspend thin
	dmsetup message pool 0 "create_snap 1 0"
	dmsetup resume thin
	target thinner 0 8192 thin /dev/mapper/pool 1
	used /dev/mapper/thin
	dmsetup message pool 0 "reserve_metadata_snap"
	dmsetup message pool 0 "release_metadata_snap"
	gone thin thinner
	dmsetup message pool 0 "delete 1"
	dmsetup suspend pool && dmsetup resume pool
	gone pool
}

# What takes away the metadata in the middle makes a target give up its transaction.
broken_metadata() {
	blank 0 1 2
	dmsetup create metadata --table "0 16384 linear /dev/ram0 0"
	dmsetup create pool --table "0 16384 thin-pool /dev/mapper/metadata /dev/ram1 128 64"
	dmsetup message pool 0 "create_thin 0"
	dmsetup create thin --table "0 8192 thin /dev/mapper/pool 0"
	broken pool /dev/mapper/thin
	gone thin pool metadata
	blank 0
	dmsetup create metadata --table "0 16384 linear /dev/ram0 0"
	dmsetup create cached --table "0 8192 cache /dev/mapper/metadata /dev/ram1 /dev/ram2 128 1 writeback smq 0"
	broken cached /dev/mapper/cached
	gone cached metadata
}

# broken NAME DEVICE: a target that lives on while its metadata is an error.
broken() {
	used $2
	dmsetup reload metadata --table "0 16384 error" && dmsetup suspend --noflush metadata && dmsetup resume metadata
	dd if=/dev/zero of=$2 bs=64k count=16 oflag=direct conv=fsync
	dmsetup message $1 0 "create_thin 7"
	dmsetup status $1
	dmsetup suspend --noflush $1 && dmsetup resume $1
	dmsetup status $1
}

verified() {
	. /lib/driver/verity
	hashed
	READONLY=-r mapped checked 0 4096 verity 1 /dev/ram0 /dev/ram1 4096 4096 512 1 sha256 $ROOT 00112233 1 try_verify_in_tasklet
	dd if=/dev/mapper/checked of=/dev/null bs=64k iflag=direct
	echo 2 > /proc/sys/vm/drop_caches
	dd if=/dev/mapper/checked of=/dev/null bs=64k iflag=direct
	gone checked
}

# Caches are emptied all the time, by the shrinkers of all that is there.
shrinking() {
	echo 0 > /sys/module/dm_bufio/parameters/retain_bytes
	for n in $(seq 20); do
		sleep 0.5
		echo 2 > /proc/sys/vm/drop_caches
	done
}

file_system() {
	mkfs.ext4 -q -F $2 $1 24M
	mount -t ext4 -o ${3:-rw} $1 /mnt
	for n in $(seq 8); do
		mkdir -p /mnt/a$n/b
		dd if=/dev/zero of=/mnt/a$n/file bs=4k count=8
		for i in 1 2 3 4 5 6; do : > /mnt/a$n/small$i; ln /mnt/a$n/small$i /mnt/a$n/b/long-name-of-a-link-$i; done
		mv /mnt/a$n/file /mnt/a$n/b/file
	done
	dd if=/dev/zero of=/mnt/direct bs=64k count=32 oflag=direct conv=fsync
	truncate -s 1000 /mnt/direct
	fallocate -l 1000000 /mnt/direct
	fsfreeze --freeze /mnt
	fsfreeze --unfreeze /mnt
	mount -o remount,ro /mnt
	mount -o remount,rw /mnt
	cp -a /mnt/a1 /mnt/copy
	rm -rf /mnt/a*
	df /mnt
	umount /mnt
}

file_systems() {
	blank 0
	file_system /dev/ram0
	file_system /dev/ram1 "-O inline_data -I 256"
	file_system /dev/ram2 "-O inline_data,^has_journal -I 256"
	file_system /dev/ram2 "-O inline_data,^has_journal -I 256" dirsync
	mkfs.ext4 -q -F /dev/ram0 24M
	mount -t ext4 /dev/ram0 /mnt
	dd if=/dev/zero of=/mnt/image bs=1M count=12
	losetup /dev/loop0 /mnt/image
	used /dev/loop0
	cat /sys/block/loop0/queue/* /sys/block/loop0/loop/*
	for s in none mq-deadline; do echo $s > /sys/block/loop0/queue/scheduler; used /dev/loop0; done
	losetup -d /dev/loop0
	umount /mnt
}

null_block() {
	used /dev/nullb0
	for s in mq-deadline kyber bfq none; do echo $s > /sys/block/nullb0/queue/scheduler; used /dev/nullb0; done
	echo 64 > /sys/block/nullb0/queue/nr_requests
	cat /sys/block/nullb0/queue/*
}

life() {
	for part in plain_targets snapshots caches thin_devices broken_metadata verified null_block file_systems; do
		$part
		say "lived $part"
	done
}

setup() { :; }
start() {
	task life life
	task shrinker shrinking
}
