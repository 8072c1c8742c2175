#!/bin/sh
# SPDX-License-Identifier: MIT
# From a fresh checkout to a configured tree, a demonstration or a test run:
#   ./autogen.sh [OPTIONS OF CONFIGURE]    make configure, and configure into build/ (or into the current folder, when it
#                                          is another one than the source tree)
#   ./autogen.sh --install-deps [GROUP]    install what is missing on Debian 12 (GROUP: build, demo, test; default test = all)
#   ./autogen.sh demo                      everything up to a Debian riscv64 kernel with a shell on this terminal
#   ./autogen.sh check                     everything up to the summary of the tests
#   ./autogen.sh --bootstrap               make configure only
# Safe to repeat: each step does only what is still to be done.
set -eu

srcdir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

build_packages="autoconf automake libtool libltdl-dev make gcc libc6-dev pkg-config libglib2.0-dev libiniparser-dev
  libfdt-dev liburing-dev libslirp-dev zlib1g-dev libzstd-dev libdeflate-dev
  libgnutls28-dev libnbd-dev"
demo_packages="opensbi cpio xz-utils gzip ca-certificates debian-archive-keyring"
test_packages="clang libclang-rt-14-dev check libmpfr-dev libgmp-dev gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
  gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  qemu-system-arm qemu-system-misc qemu-system-x86 qemu-user qemu-utils device-tree-compiler abigail-tools acpica-tools e2fsprogs strace libzydis-dev socat zstd
  7zip python3-libqcow python3-libvmdk libvmdk-utils
  libnbd-bin nbdkit fio gnutls-bin python3 procps git gdb-multiarch debootstrap fakeroot seabios dpkg-dev fdisk openssh-client u-boot-qemu"

say() { printf 'autogen.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

packages_of() {
  case $1 in
    build) echo $build_packages ;;
    demo) echo $build_packages $demo_packages ;;
    test) echo $build_packages $demo_packages $test_packages ;;
    *) die "no package group '$1' (build, demo, test)" ;;
  esac
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_deps() { # group
  if ! command -v dpkg-query >/dev/null; then
    say "only Debian's packages are known; see that you have:" $(packages_of "$1")
    return 1
  fi
  missing=
  for p in $(packages_of "$1"); do is_installed "$p" || missing="$missing $p"; done
  [ -n "$missing" ] || return 0
  say "installing:$missing"
  as_root=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "not root and no sudo; as root run: apt-get install$missing"
    as_root=sudo
  fi
  $as_root apt-get update -q || die "apt-get update failed"
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing ||
    die "apt-get install failed"
}

# write FILE from standard input, only when it changes: an unchanged aggregate triggers no new configure
write_if_changed() {
  cat > "$1.new"
  if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}

generated="SPDX-License-Identifier: MIT
# Written by autogen.sh from what is in this folder; not kept in git."

# A plugin is a folder and no edit elsewhere: these files are the only lists of plugins
write_aggregates() {
  { echo "# $generated"
    for f in plugins/*/plugin.am; do [ ! -e "$f" ] || echo "include \$(top_srcdir)/$f"; done
  } | write_if_changed plugins/all.am
  { echo "# $generated"
    for f in plugins/*/plugin.am; do
      [ -e "$f" ] || continue
      d=${f%/plugin.am}
      if [ -e "$d/plugin.m4" ]; then echo "m4_include([$d/plugin.m4])"; else echo "MORTISE_PLUGIN([${d#plugins/}])"; fi
    done
  } | write_if_changed plugins/all.m4
  { echo "# $generated"
    for f in tests/*/tests.am; do [ ! -e "$f" ] || echo "include \$(top_srcdir)/$f"; done
  } | write_if_changed tests/all.am
}

bootstrap() {
  for t in autoreconf automake libtoolize pkg-config make; do
    command -v "$t" >/dev/null || die "$t is missing; run: ./autogen.sh --install-deps"
  done
  # two build trees may share this source tree: one bootstrap at a time
  (
    cd "$srcdir" && exec 9> .autogen.lock && flock 9 &&
      mkdir -p build-aux plugins && write_aggregates && autoreconf --install
  ) || die "the bootstrap failed"
}

# the build folder: the current one, unless that is within the source tree's top
choose_builddir() {
  if [ "$(pwd -P)" = "$(cd "$srcdir" && pwd -P)" ]; then builddir=$srcdir/build; else builddir=$(pwd); fi
  mkdir -p "$builddir"
}

configure_tree() {
  choose_builddir
  # libtool runs once for each object, in the shell that configure took: the plain one is twice as quick as bash
  ( cd "$builddir" && CONFIG_SHELL=${CONFIG_SHELL-/bin/sh} "$srcdir/configure" "$@" ) ||
    die "configure failed; see $builddir/config.log"
}

run_make() { make -C "$builddir" -j"$(nproc)" "$@"; }

build_all() { # group of packages, then options of configure
  group=$1
  shift
  install_deps "$group" || say "going on with what is there"
  bootstrap
  configure_tree "$@"
  run_make || die "the build failed"
}

demo() {
  build_all demo "$@"
  run_make guests || die "the guest could not be fetched"
  guests=${XDG_CACHE_HOME:-$HOME/.cache}/mortise/guests/riscv64
  say "Ctrl-a x ends the machine"
  exec "$builddir/mortise" run virt-riscv64 -s "boot.kernel=$guests/Image" -s "boot.initrd=$guests/initramfs.cpio.gz"
}

results() { # RESULT...: the .trs files of this run that say so
  pattern=$(echo "$*" | tr ' ' '|')
  find "$builddir" -name '*.trs' -newer "$builddir/check.begin" -exec grep -lE ":test-result: ($pattern)" {} + |
    LC_ALL=C sort
}

# A test's last line says why it was skipped
tell_skips() {
  results SKIP | while read -r trs; do
    log=${trs%.trs}.log
    printf 'SKIP: %s: %s\n' "${log#"$builddir"/}" "$(sed '/^SKIP /d' "$log" | tail -n 1)"
  done
}

summary() {
  echo
  tell_skips
  results FAIL ERROR XPASS | sed "s|^$builddir/|FAIL: |; s|\.trs\$|.log|"
  echo "$(results PASS XFAIL | wc -l) passed, $(results FAIL ERROR XPASS | wc -l) failed," \
    "$(results SKIP | wc -l) skipped"
}

check() {
  build_all test "$@"
  run_make guests || say "the guests could not be fetched: their tests will be skipped"
  : > "$builddir/check.begin"
  status=0
  run_make check VERBOSE=1 || status=$?
  summary
  return $status
}

case ${1-} in
  -h | --help) sed -n '3,10s/^# \{0,1\}//p' "$0" ;;
  --install-deps) install_deps "${2:-test}" ;;
  --bootstrap) bootstrap ;;
  demo) shift; demo "$@" ;;
  check) shift; check "$@" ;;
  '' | --* | *=*) bootstrap; configure_tree "$@" ;;
  *) die "unknown command '$1' (try --help)" ;;
esac
