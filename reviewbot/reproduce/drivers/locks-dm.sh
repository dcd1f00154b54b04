. /lib/driver/life

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
	for n in 1 2 3 4; do
		sleep 11 # until what was read has grown old
		dd if=/dev/mapper/checked of=/dev/null bs=64k iflag=direct
	done
	gone checked
}

# What has arrays of md inside, with metadata of its own; also where the disks below stop, and are gone.
raids() {
	for kind in raid1 raid10 raid5_ls raid6_zr; do
		blank 0 1 2 3 4 5 6 7
		dmsetup create raid --table "0 16384 raid $kind 3 64 region_size 1024 4 /dev/ram0 /dev/ram1 /dev/ram2 /dev/ram3 /dev/ram4 /dev/ram5 /dev/ram6 /dev/ram7"
		dmsetup mknodes
		used /dev/mapper/raid
		dmsetup message raid 0 check
		dmsetup suspend raid && dmsetup resume raid
		dmsetup message raid 0 repair
		used /dev/mapper/raid
		dmsetup status
		gone raid
	done
}

others() {
	blank 0 1
	target errors 0 16384 dust /dev/ram0 0 512
	dmsetup message errors 0 addbadblock 60
	dmsetup message errors 0 enable
	used /dev/mapper/errors
	target emulated 0 16384 ebs /dev/ram1 0 1 8
	target logged 0 16384 log-writes /dev/ram2 /dev/ram3
	dmsetup message logged 0 mark here
	target part 0 8192 unstriped 2 16 0 /dev/ram4 0
	target paths 0 16384 multipath 0 0 1 1 round-robin 0 2 1 /dev/ram5 1000 /dev/ram6 1000
	dmsetup message paths 0 fail_path /dev/ram5
	gone errors emulated logged part paths
}

zones() {
	disk zoned zoned=1 zone_size=4 zone_nr_conv=4 size=128 blocksize=4096
	blkzone report /dev/zoned
	blkzone reset /dev/zoned
	target zoned 0 $(blockdev --getsz /dev/zoned) linear /dev/zoned 0
	target crypted 0 $(blockdev --getsz /dev/zoned) crypt aes-xts-plain64 $(printf '%064d' 1) 0 /dev/mapper/zoned 0
	xfs_io -d -c "pwrite -b 16k 16m 256k" /dev/mapper/crypted
	blkzone reset /dev/mapper/crypted
	gone crypted zoned
	no_disk zoned
}

# Memory goes to targets, and comes back from them.
swaps() {
	mapped slow 0 65536 delay /dev/ram0 0 5 /dev/ram0 0 5
	mapped origin 0 65536 snapshot-origin /dev/ram0
	mapped snap 0 65536 snapshot /dev/mapper/slow /dev/ram1 N 16
	swapped /dev/mapper/snap
	gone snap slow origin
	blank 0
	dmsetup create pool --table "0 65536 thin-pool /dev/ram0 /dev/ram1 128 64"
	dmsetup message pool 0 "create_thin 0"
	mapped thin 0 65536 thin /dev/mapper/pool 0
	swapped /dev/mapper/thin
	gone thin pool
	mapped crypted 0 65536 crypt aes-xts-plain64 $(printf '%064d' 1) 0 /dev/ram2 0
	swapped /dev/mapper/crypted
	gone crypted
	blank 0 1
	mapped written 0 65536 writecache s /dev/ram0 /dev/ram1 4096 0
	swapped /dev/mapper/written
	gone written
}

setup() {
	echo 0 > /sys/module/dm_bufio/parameters/retain_bytes
	echo 2 > /sys/module/dm_bufio/parameters/max_age_seconds
	echo 1048576 > /sys/module/dm_bufio/parameters/max_cache_size_bytes
}
start() {
	task life lived plain_targets snapshots caches thin_devices broken_metadata verified raids others zones swaps
	task shrinker shrinking 20
}
