. /lib/driver/life

create() { mdadm --create /dev/md0 --run --assume-clean --metadata=1.2 --bitmap=${BITMAP:-internal} "$@"; }
rams() { for n in $(seq $1 $2); do echo /dev/ram$n; done; }
# state WORD FILE: waits, but not for ever, until an attribute begins with that.
state() { timeout 30 sh -c "while grep -vq '^$1' /sys/block/md0/md/$2; do sleep 1; done"; }

# An array: checked, grown, with a disk that fails, goes, comes, is written meanwhile, stopped and put together again.
array() {
	level=$1; disks=$2; shift 2
	blank 0 1 2 3 4 5
	mdadm --zero-superblock /dev/ram0 /dev/ram1 /dev/ram2 /dev/ram3 /dev/ram4 /dev/ram5
	create --level=$level --raid-devices=$disks "$@" $(rams 0 $((disks - 1)))
	used /dev/md0
	attributes /sys/block/md0/md /sys/block/md0/queue
	used /dev/md0 &
	echo check > /sys/block/md0/md/sync_action
	echo idle > /sys/block/md0/md/sync_action
	echo repair > /sys/block/md0/md/sync_action
	state idle sync_action
	wait $!
	used /dev/md0 &
	mdadm /dev/md0 --fail /dev/ram1
	mdadm /dev/md0 --remove /dev/ram1
	mdadm /dev/md0 --add /dev/ram5
	state idle sync_action
	wait $!
	mdadm /dev/md0 --add /dev/ram1
	mdadm --grow /dev/md0 --bitmap=none
	mdadm --grow /dev/md0 --bitmap=internal
	used /dev/md0 &
	echo 4096 > /sys/block/md0/md/suspend_lo
	echo 8192 > /sys/block/md0/md/suspend_hi
	echo 0 > /sys/block/md0/md/suspend_hi
	wait $!
	mdadm --grow /dev/md0 --bitmap=none
	mdadm --grow /dev/md0 --raid-devices=$((disks + 1)) --backup-file=/tmp/backup
	used /dev/md0
	state idle sync_action
	mdadm --readonly /dev/md0
	mdadm --readwrite /dev/md0
	failing_io /dev/ram0 used /dev/md0
	mdadm --detail /dev/md0
	cat /proc/mdstat
	members=$(cd /sys/block/md0/slaves && ls | sed 's,^,/dev/,')
	mdadm --stop /dev/md0
	mdadm --assemble --run /dev/md0 $members
	used /dev/md0
	echo clear > /sys/block/md0/md/array_state
	mdadm --stop /dev/md0
}

mirrors() { array 1 2; }
stripes_of_mirrors() { array 10 4; }
parity() { array 5 3; }
double_parity() { array 6 4; }

# Arrays without redundancy, and one that becomes another.
levels() {
	blank 0 1 2 3
	mdadm --zero-superblock /dev/ram0 /dev/ram1 /dev/ram2 /dev/ram3
	mdadm --create /dev/md0 --run --level=0 --raid-devices=2 /dev/ram0 /dev/ram1
	used /dev/md0
	used /dev/md0 &
	for level in raid5 raid0 raid10 raid0 raid4 raid5; do echo $level > /sys/block/md0/md/level; done
	wait $!
	mdadm --stop /dev/md0
	mdadm --create /dev/md0 --run --level=linear --raid-devices=2 /dev/ram0 /dev/ram1
	used /dev/md0
	mdadm --grow /dev/md0 --add /dev/ram2
	mdadm --stop /dev/md0
}

# Parity with a journal, with a log of its own kind, with a stripe cache that is set while it works.
journals() {
	blank 0 1 2 3
	mdadm --zero-superblock /dev/ram0 /dev/ram1 /dev/ram2 /dev/ram3
	mdadm --create /dev/md0 --run --assume-clean --level=5 --raid-devices=3 --write-journal=/dev/ram3 /dev/ram0 /dev/ram1 /dev/ram2
	used /dev/md0
	used /dev/md0 &
	for mode in write-back write-through write-back; do echo $mode > /sys/block/md0/md/journal_mode; done
	for size in 64 256; do echo $size > /sys/block/md0/md/stripe_cache_size; done
	for n in 2 0; do echo $n > /sys/block/md0/md/group_thread_cnt; done
	wait $!
	mdadm --stop /dev/md0
	mdadm --assemble --run /dev/md0 /dev/ram0 /dev/ram1 /dev/ram2 /dev/ram3
	used /dev/md0
	mdadm /dev/md0 --fail /dev/ram3 # what is written then keeps a processor busy for ever, without any patch
	sleep 2
	mdadm /dev/md0 --remove /dev/ram3
	mdadm --stop /dev/md0
	mdadm --zero-superblock /dev/ram0 /dev/ram1 /dev/ram2 /dev/ram3
	mdadm --create /dev/md0 --run --assume-clean --level=5 --raid-devices=3 --consistency-policy=ppl /dev/ram0 /dev/ram1 /dev/ram2
	used /dev/md0
	mdadm --stop /dev/md0
}

# Names that the kernel gives, partitions, and openers that come while an array goes.
opened() {
	blank 0 1
	mdadm --zero-superblock /dev/ram0 /dev/ram1
	create --level=1 --raid-devices=2 /dev/ram0 /dev/ram1
	printf 'o\nn\np\n1\n\n+1M\nw\n' | fdisk /dev/md0
	blockdev --rereadpt /dev/md0
	( for n in $(seq 20); do : < /dev/md0; blockdev --rereadpt /dev/md0; done ) &
	for n in 1 2 3; do
		mdadm --stop /dev/md0
		mdadm --assemble --run /dev/md0 /dev/ram0 /dev/ram1
	done
	wait $!
	mdadm --assemble --run /dev/md0 /dev/ram0 /dev/ram1
	echo inactive > /sys/block/md0/md/array_state
	echo clear > /sys/block/md0/md/array_state
	mdadm --stop /dev/md0
	echo md_named > /sys/module/md_mod/parameters/new_array
	: < /dev/md_named
	swap_on_array
}

swap_on_array() {
	create --level=1 --raid-devices=2 /dev/ram0 /dev/ram1
	swapped /dev/md0
	mdadm --stop /dev/md0
	mdadm --zero-superblock /dev/ram0 /dev/ram1 /dev/ram2
	create --level=5 --raid-devices=3 /dev/ram0 /dev/ram1 /dev/ram2
	swapped /dev/md0
	mdadm --stop /dev/md0
}

setup() { :; }
start() {
	task life lived mirrors parity levels journals opened stripes_of_mirrors double_parity
	task shrinker shrinking 40
}
