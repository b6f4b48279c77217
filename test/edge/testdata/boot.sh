#!/bin/sh
# Boots a systemd in the namespaces of this process, on a view of this machine's files. Its changes end with
# the namespaces. $1 is an empty directory.
set -eu
root=$1

mount -t tmpfs tmpfs "$root"
mkdir "$root/changes" "$root/work" "$root/view"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/changes,workdir=$root/work" "$root/view"
cd "$root/view"

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run

# The units of this machine do not start. The targets that each unit needs are empty.
rm -rf etc/systemd/system usr/lib/systemd/system/*.target.wants
mkdir -p etc/systemd/system
for target in sysinit.target basic.target multi-user.target shutdown.target; do
  printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" > "etc/systemd/system/$target"
done
printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n' > etc/systemd/system/machine.target
echo 0123456789abcdef0123456789abcdef > etc/machine-id

mkdir former
pivot_root . former
umount -l /former
# systemd passes credentials to units by a mount that must propagate, as on every machine with systemd.
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=machine.target --log-target=journal-or-kmsg --show-status=0
