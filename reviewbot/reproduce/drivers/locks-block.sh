. /lib/driver/life

# queue DEVICE: its schedulers, depths and attributes change while it works.
queue() {
	at=/sys/block/${1#/dev/}/queue
	for scheduler in mq-deadline kyber bfq none bfq; do
		used $1 &
		echo $scheduler > $at/scheduler
		cat $at/scheduler $at/iosched/* $at/../mq/0/*
		[ ! -d $at/iosched ] || attributes $at/iosched
		wait $!
	done
	used $1 &
	for n in 4 64 16 128; do echo $n > $at/nr_requests; done
	for n in 0 2 1; do echo $n > $at/rq_affinity; echo $n > $at/nomerges; done
	for n in 0 75000 -1; do echo $n > $at/wbt_lat_usec; done
	for n in 64 128; do echo $n > $at/max_sectors_kb; echo $n > $at/read_ahead_kb; done
	attributes $at
	find /sys/kernel/debug/block/${1#/dev/} -type f | while read -r file; do cat $file; done
	wait $!
}

# limits DEVICE: groups with limits come and go while they have I/O.
limits() {
	numbers=$(cat /sys/block/${1#/dev/}/dev)
	echo "+io +memory" > /sys/fs/cgroup/cgroup.subtree_control
	for set in io.max=wbps=4194304 io.max=rbps=8388608 io.latency=target=100 io.cost.qos io.weight io.bfq.weight; do
		mkdir -p /sys/fs/cgroup/group/below
		case $set in
			io.cost*) echo "$numbers enable=1 ctrl=user rlat=100 wlat=100 min=1 max=10000" > /sys/fs/cgroup/io.cost.qos
				echo "$numbers ctrl=user model=linear rbps=1000000 rseqiops=100 rrandiops=100 wbps=1000000 wseqiops=100 wrandiops=100" > /sys/fs/cgroup/io.cost.model
				;;
			*weight) echo "default 50" > /sys/fs/cgroup/group/$set; echo "$numbers 30" > /sys/fs/cgroup/group/$set;;
			*) echo "$numbers ${set#*=}" > /sys/fs/cgroup/group/${set%%=*};;
		esac
		echo +io > /sys/fs/cgroup/group/cgroup.subtree_control
		( echo 0 > /sys/fs/cgroup/group/below/cgroup.procs; used $1 ) &
		echo bfq > /sys/block/${1#/dev/}/queue/scheduler
		cat /sys/fs/cgroup/group/io.stat /sys/fs/cgroup/group/below/io.stat /sys/fs/cgroup/io.cost.*
		echo none > /sys/block/${1#/dev/}/queue/scheduler
		wait $!
		rmdir /sys/fs/cgroup/group/below /sys/fs/cgroup/group
	done
	echo "$numbers enable=0" > /sys/fs/cgroup/io.cost.qos
}

timed_disk() {
	disk disk submit_queues=1 hw_queue_depth=16
	used /dev/disk
	queue /dev/disk
	limits /dev/disk
	swapped /dev/disk
	used /dev/disk &
	echo 4 > $NULLB/disk/submit_queues
	wait $!
	used /dev/disk &
	no_disk disk
	wait $!
	disk disk blocking=1 shared_tags=1 mbps=16
	used /dev/disk
	no_disk disk
	disk disk queue_mode=0 irqmode=0
	used /dev/disk
	swapped /dev/disk
	limits /dev/disk
	no_disk disk
}

zones() {
	disk zoned zoned=1 zone_size=4 zone_nr_conv=4 zone_max_open=4 size=128 blocksize=4096
	blkzone report /dev/zoned
	for at in 16 20 24; do xfs_io -d -c "pwrite -b 64k ${at}m 512k" /dev/zoned & done
	wait
	blkzone finish -o 32768 -c 1 /dev/zoned
	blkzone reset /dev/zoned
	cat /sys/block/zoned/queue/*zone* /sys/kernel/debug/block/zoned/zone*
	xfs_io -d -c "pwrite -b 64k 16m 4m" -c "pwrite -b 64k 20m 4m" /dev/zoned
	echo mq-deadline > /sys/block/zoned/queue/scheduler
	xfs_io -d -c "pwrite -b 64k 24m 4m" /dev/zoned &
	echo none > /sys/block/zoned/queue/scheduler
	wait $!
	no_disk zoned
}

partitions() {
	printf 'o\nn\np\n1\n\n+1M\nn\np\n2\n\n+1M\nw\n' | fdisk $1
	blockdev --rereadpt $1
	( for n in 1 2 3 4 5; do blockdev --rereadpt $1; done ) &
	used ${1}1
	blockdev --setro $1; blockdev --setrw $1
	wait $!
}

hosts() {
	scsi_disks 1
	for host in /sys/class/scsi_host/host*; do
		disk=$(ls $host/device/target*/*/block | head -n 1)
		used /dev/$disk
		queue /dev/$disk
		partitions /dev/$disk
		limits /dev/$disk
		attributes $host /sys/block/$disk/device
		used /dev/$disk &
		echo "- - -" > $host/scan
		echo 1 > /sys/block/$disk/device/rescan
		echo 8 > /sys/block/$disk/device/queue_depth
		echo offline > /sys/block/$disk/device/state; echo running > /sys/block/$disk/device/state
		wait $!
		used /dev/$disk &
		echo 1 > /sys/block/$disk/device/delete
		wait $!
		echo "- - -" > $host/scan
	done
	echo 3 > /sys/bus/pseudo/drivers/scsi_debug/opts
	echo 5 > /sys/bus/pseudo/drivers/scsi_debug/every_nth
	disk=$(ls $host/device/target*/*/block | head -n 1)
	timeout 60 dd if=/dev/$disk of=/dev/null bs=64k count=16 iflag=direct
	echo 0 > /sys/bus/pseudo/drivers/scsi_debug/every_nth
	echo eh_deadline > $host/eh_deadline
	scsi_disks 1
	scsi_disks -2
}

# A target of SCSI with a disk of the kernel's own on it.
targets() {
	target=$CONFIGFS/target
	mkdir -p $target/core/iblock_0/here $target/loopback/naa.5001405000000001/tpgt_1/lun/lun_0
	echo udev_path=/dev/ram0 > $target/core/iblock_0/here/control
	echo 1 > $target/core/iblock_0/here/enable
	echo naa.5001405000000002 > $target/loopback/naa.5001405000000001/tpgt_1/nexus
	ln -s $target/core/iblock_0/here $target/loopback/naa.5001405000000001/tpgt_1/lun/lun_0/here
	attributes $target/core/iblock_0/here
	sleep 1
	disk=$(grep -l here /sys/block/sd*/device/model | head -n 1); disk=${disk#/sys/block/}; disk=/dev/${disk%%/*}
	used $disk
	used $disk &
	for n in 1 2; do echo 1 > /sys/block/${disk#/dev/}/device/rescan; done
	wait $!
	rm $target/loopback/naa.5001405000000001/tpgt_1/lun/lun_0/here
	rmdir $target/loopback/naa.5001405000000001/tpgt_1/lun/lun_0
	echo > $target/loopback/naa.5001405000000001/tpgt_1/nexus
	rmdir $target/loopback/naa.5001405000000001/tpgt_1 $target/loopback/naa.5001405000000001 $target/core/iblock_0/here
}

loops() {
	mkfs.ext4 -q -F /dev/ram1 12M && mount -t ext4 /dev/ram1 /mnt
	dd if=/dev/zero of=/mnt/image bs=1M count=4
	losetup /dev/loop0 /mnt/image
	used /dev/loop0
	queue /dev/loop0
	partitions /dev/loop0
	attributes /sys/block/loop0/loop
	mkfs.ext4 -q -F /dev/loop0 4M && mount -t ext4 /dev/loop0 /run/mnt
	cp /bin/busybox /run/mnt &
	fsfreeze --freeze /mnt; sleep 0.5; fsfreeze --unfreeze /mnt
	wait $!
	umount /run/mnt
	used /dev/loop0 &
	losetup -d /dev/loop0
	wait $!
	losetup -r /dev/loop1 /mnt/image; losetup -d /dev/loop1
	losetup /dev/loop2 /dev/ram2; used /dev/loop2; swapped /dev/loop2; losetup -d /dev/loop2
	umount /mnt
}

compressed() {
	echo lzo > /sys/block/zram0/comp_algorithm
	echo 64M > /sys/block/zram0/disksize
	used /dev/zram0
	attributes /sys/block/zram0
	swapped /dev/zram0
	echo 1 > /sys/block/zram0/compact
	echo 1 > /sys/block/zram0/reset
	cat /sys/class/zram-control/hot_add
	echo 1 > /sys/class/zram-control/hot_remove
}

setup() { mkdir -p /run/mnt; }
start() {
	task life lived timed_disk zones hosts targets loops compressed
	task shrinker shrinking 40
}
