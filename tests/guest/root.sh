#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The first process of a guest whose root is the first disk, twice over: from the initramfs it puts the system on the disk, unless
# there is one, and goes there; on the disk it verifies all files, counts the boot and leaves one file more.
# mortise.end=reboot: a boot with an odd number ends with a reboot.
export PATH=/usr/sbin:/usr/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev

fail() { echo "MORTISE-TEST: $1 FAIL"; sync; poweroff -f; }

install() {
  # by its path: the shell would take its own
  /usr/sbin/mke2fs -q -F -t ext4 /dev/vda && mount -t ext4 /dev/vda /mnt || fail install
  cp -a /bin /etc /lib /sbin /scripts /usr /mnt && mkdir /mnt/proc /mnt/dev /mnt/mnt || fail install
  ( cd /mnt && find etc scripts usr -type f | xargs sha256sum > sums ) || fail install
  echo 0 > /mnt/boots || fail install
  echo "MORTISE-TEST: install ok"
}

if [ ! -e /boots ]; then
  /bin/busybox --install -s
  dmesg -n 1
  modprobe -a $(cat /etc/modules) || fail modules
  mount -t ext4 /dev/vda /mnt 2> /dev/null || install
  exec switch_root /mnt /scripts/root
fi

cd / && sha256sum -c sums > /dev/null || fail verify
boot=$(($(cat boots) + 1))
dd if=/dev/urandom of=more-$boot bs=1k count=300 2> /dev/null && sha256sum more-$boot >> sums || fail write
echo $boot > boots
sync
mount -o remount,ro / || fail remount
echo "MORTISE-TEST: boot-$boot ok"
if grep -q mortise.end=reboot /proc/cmdline && [ $((boot % 2)) = 1 ]; then reboot -f; fi
poweroff -f
