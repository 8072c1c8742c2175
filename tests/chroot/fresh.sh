#!/bin/sh
# SPDX-License-Identifier: MIT
# The two commands of the README on a machine where nothing was done before: a minimal Debian 12 in a chroot, made from the
# mirror that this host is configured for, with a clone of this repository. Needs root, mmdebstrap or debootstrap, git.
#   fresh.sh [demo|check]     default: both, each in a chroot of its own
set -eu

src=${TEST_SRCDIR:-$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)}
here=$src/tests/chroot
suite=bookworm

skip() { echo "$*"; exit 77; }

[ "$(id -u)" = 0 ] || skip "needs root for a chroot"
command -v git > /dev/null || skip "git is missing"
[ -e "$src/.git" ] || skip "$src is no clone"
command -v python3 > /dev/null || skip "python3 is missing"
if command -v mmdebstrap > /dev/null; then
  tool=mmdebstrap
elif command -v debootstrap > /dev/null; then
  tool=debootstrap
else
  skip "mmdebstrap or debootstrap is missing"
fi
site=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Component: main' |
  awk '$2 !~ /security|updates|backports/ { print $1; exit }')
[ -n "$site" ] || skip "apt has no index of a Debian archive"

top=$(mktemp -d "${TMPDIR:-/tmp}/mortise-fresh.XXXXXX")
chmod 755 "$top"

# Never remove a tree while something is mounted in it
cleanup() {
  for d in "$top"/*/; do
    for m in dev/pts dev/shm dev proc; do
      ! mountpoint -q "$d$m" || umount "$d$m" || { echo "$d$m stays mounted; $top is left"; return; }
    done
  done
  rm -rf --one-file-system "$top"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

make_chroot() { # folder
  case $tool in
    mmdebstrap) mmdebstrap --variant=minbase --quiet "$suite" "$1" "deb $site $suite main" ;;
    debootstrap) debootstrap --variant=minbase "$suite" "$1" "$site" > "$1.log" ;;
  esac
  # the host's way to the mirror, and nothing else of its configuration
  apt-config dump | grep -E '^Acquire::(http|https|ftp)\b' > "$1/etc/apt/apt.conf.d/90host" || :
  cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
  mount -t proc proc "$1/proc"
  mount -t tmpfs -o mode=755 dev "$1/dev"
  for n in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "$1/dev/${n%:*}" c 1 "${n#*:}"; done
  mknod -m 666 "$1/dev/tty" c 5 0
  mkdir "$1/dev/pts" "$1/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
  ln -s pts/ptmx "$1/dev/ptmx"
  ln -s /proc/self/fd "$1/dev/fd"
  mount -t tmpfs shm "$1/dev/shm"
  git clone -q "file://$src" "$1/mortise"
}

in_chroot() { # folder, command
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/mortise-home TERM=vt100 LANG=C.UTF-8 \
    chroot "$1" /bin/sh -c "mkdir -p \$HOME && cd /mortise && $2"
}

run_demo() { # folder
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/mortise-home TERM=vt100 LANG=C.UTF-8 \
    python3 "$here/terminal.py" chroot "$1" /bin/sh -c 'mkdir -p $HOME && cd /mortise && ./autogen.sh demo'
}

run_check() { in_chroot "$1" './autogen.sh check' < /dev/null; }

failed=
for job in ${1:-demo check}; do
  make_chroot "$top/$job"
  if "run_$job" "$top/$job"; then echo "fresh: $job ok"; else echo "fresh: $job FAILED"; failed=1; fi
done
[ -z "$failed" ]
