. /lib/driver/life
. /lib/driver/files
TYPE=ext4

on() { mkfs.ext4 -q -F -b ${BLOCK:-4096} $2 $1 ${SIZE:-48M} && lived_in $1 $3; }

defragmented() { e4defrag /mnt/two; }
grown() { resize2fs $1 60M; }
swap() { swap_file /mnt/swap; }

plain() { PARTS="defragmented grown swap" on /dev/ram0; }
small_blocks() { BLOCK=1024 PARTS=defragmented on /dev/ram1 "-O ^extents,^has_journal" nodelalloc; }
inline_data() { on /dev/ram2 "-O inline_data,ea_inode -I 256" data=ordered,dioread_nolock; }
unjournalled() { on /dev/ram2 "-O inline_data,^has_journal -I 256" dirsync; }
journalled() { on /dev/ram3 "-O ea_inode,quota,fast_commit" data=journal,commit=1; }
old_quota() { PARTS=quotas on /dev/ram4 "" usrquota,grpquota,discard; }
interrupted() { disk disk && on /dev/disk "-O metadata_csum,bigalloc" discard && no_disk disk; }
stacked() {
	mkfs.ext4 -q -F /dev/ram5 80M && mount -t ext4 /dev/ram5 /run/mnt
	dd if=/dev/zero of=/run/mnt/image bs=1M count=56
	losetup /dev/loop0 /run/mnt/image
	on /dev/loop0
	losetup -d /dev/loop0
	umount /run/mnt
}
faulty() {
	mkfs.ext4 -q -F /dev/ram6 48M && mount -t ext4 -o errors=remount-ro /dev/ram6 /mnt || return
	failing_memory trees /mnt
	failing_memory data /mnt/data
	failing_io /dev/ram6 trees /mnt
	umount /mnt
}

setup() { mkdir -p /run/mnt; }
start() {
	task life lived plain inline_data unjournalled journalled old_quota interrupted small_blocks stacked faulty
	task shrinker shrinking 60
}
