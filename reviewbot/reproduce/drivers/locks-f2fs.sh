. /lib/driver/life
. /lib/driver/files
TYPE=f2fs

on() { mkfs.f2fs -q -f $2 $1 && lived_in $1 $3; }

collected() {
	f2fs_io gc 1 /mnt/two/data
	f2fs_io checkpoint /mnt
	f2fs_io defrag_file 0 1048576 /mnt/two/data
	f2fs_io pinfile set /mnt/two/again
	f2fs_io precache_extents /mnt/two/data
	f2fs_io get_features /mnt
	f2fs_io write 16 0 4 rand atomic_commit 1 /mnt/two/atomic
}
compressed() {
	: > /mnt/two/compressed; chattr +c /mnt/two/compressed
	dd if=/dev/zero of=/mnt/two/compressed bs=64k count=16 conv=notrunc,fsync
	f2fs_io release_cblocks /mnt/two/compressed
	f2fs_io reserve_cblocks /mnt/two/compressed
	f2fs_io decompress /mnt/two/compressed
	f2fs_io compress /mnt/two/compressed
}
swap() { swap_file /mnt/swap; }
shown() { echo 1 > /sys/fs/f2fs/${1#/dev/}/iostat_enable; cat /proc/fs/f2fs/${1#/dev/}/* /sys/kernel/debug/f2fs/status; data /mnt/two/shown; }
drop() { f2fs_io shutdown 1 /mnt; }

plain() { PARTS="collected swap" on /dev/ram0 "" inline_xattr,inline_data,inline_dentry,flush_merge; }
packed() { PARTS=compressed on /dev/ram1 "-O extra_attr,compression,inode_checksum,quota,project_quota" compress_algorithm=lzo,checkpoint_merge; }
interrupted() { disk disk && PARTS="shown collected" on /dev/disk "-O extra_attr,flexible_inline_xattr" discard && no_disk disk; }
bare() { on /dev/ram2 "" noinline_data,noinline_dentry,noextent_cache,nobarrier,fsync_mode=strict,mode=lfs; }
shut_down() { PARTS=drop on /dev/ram3; mount -t f2fs /dev/ram3 /mnt; failing_memory trees /mnt; failing_io /dev/ram3 data /mnt/data; umount /mnt; }

setup() { :; }
start() {
	task life lived plain packed interrupted bare shut_down
	task shrinker shrinking 40
}
