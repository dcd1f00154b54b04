. /lib/driver/life
. /lib/driver/files
TYPE=xfs

# Small sizes are for tests only, which mkfs.xfs wants to be told.
on() { TEST_DIR=/ TEST_DEV=/ QA_CHECK_FS=1 mkfs.xfs -q -f -l size=10m,lazy-count=1 $2 $1 && lived_in $1 $3; }

scrubbed() {
	for kind in probe sb agf agfl agi bnobt cntbt inobt finobt rmapbt refcountbt; do
		xfs_io -x -c "scrub $kind 0" -c "scrub $kind 1" -c "repair $kind 1" /mnt
	done
	for kind in inode bmapbtd bmapbta directory xattr symlink parent; do
		for file in /mnt/two /mnt/two/*; do xfs_io -x -c "scrub $kind" -c "repair $kind" $file; done
	done
	for kind in rtbitmap rtsummary usrquota grpquota fscounters quotacheck nlinks; do xfs_io -x -c "scrub $kind" -c "repair $kind" /mnt; done
}
grown() { xfs_growfs /mnt; xfs_fsr -v /mnt/two/data; xfs_io -x -c "fsmap -v" -c "bulkstat" -c "bmap -v" -c "resblks 1024" /mnt; }
limits() {
	xfs_quota -x -c "limit -u bsoft=1m bhard=2m 7" -c "report" -c "quota 7" -c "disable -u" -c "enable -u" /mnt
	for n in 1 2 3 4 5 6 7 8; do : > /mnt/two/q$n; chown $n:$n /mnt/two/q$n; done
	rm -f /mnt/two/q*
}
full() { dd if=/dev/zero of=/mnt/full bs=64k; trees /mnt/two; data /mnt/two/other; rm -f /mnt/full; }
swap() { swap_file /mnt/swap; }

plain() { PARTS="grown scrubbed swap" on /dev/ram0 "-m rmapbt=1,reflink=1,finobt=1 -d size=64m"; }
quota() { PARTS="limits scrubbed" on /dev/ram1 "-d size=64m" usrquota,grpquota,prjquota; }
small_blocks() { PARTS="full" on /dev/ram2 "-b size=1024 -m crc=1 -d size=48m,agcount=4" wsync; }
interrupted() { disk disk && PARTS=scrubbed on /dev/disk "-m rmapbt=1 -d size=64m" discard && no_disk disk; }
shut_down() {
	TEST_DIR=/ TEST_DEV=/ QA_CHECK_FS=1 mkfs.xfs -q -f -l size=10m -d size=64m /dev/ram3
	for flags in "" "-f" ; do
		mount -t xfs /dev/ram3 /mnt
		trees /mnt &
		data /mnt/data
		exec 6> /mnt/orphan; rm /mnt/orphan
		xfs_io -x -c "shutdown $flags" /mnt
		wait
		exec 6>&-
		umount /mnt
	done
	mount -t xfs /dev/ram3 /mnt
	failing_memory trees /mnt
	failing_io /dev/ram3 data /mnt/data
	umount /mnt
}

setup() { :; }
start() {
	task life lived plain quota small_blocks interrupted shut_down
	task shrinker shrinking 60
}
