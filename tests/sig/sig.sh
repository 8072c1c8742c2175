#!/bin/sh
# SPDX-License-Identifier: MIT
# Bare-metal programs print a signature; an independent emulator must print the same. One program is the argument, or all.
here=$(cd "$(dirname "$0")" && pwd)
mortise=${MORTISE:-mortise}
qemu=${QEMU_RISCV64:-qemu-system-riscv64}
cc=${RISCV64_CC:-riscv64-linux-gnu-gcc}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

skip() {
  echo "SKIP: $1"
  exit 77
}
command -v "$cc" >/dev/null || skip "no compiler for riscv64 (Debian: gcc-riscv64-linux-gnu)"
command -v "$qemu" >/dev/null || skip "no emulator to compare with (Debian: qemu-system-misc)"
command -v "$mortise" >/dev/null || skip "mortise is not built"

build() {
  "$cc" -nostdlib -static -mcmodel=medany -march=rv64gc_zba_zbb_zbs -mabi=lp64d -I"$here" -Wl,-N,--no-relax,--no-warn-rwx-segments \
    -Wl,-Ttext=0x80000000,--build-id=none -o "$folder/$1.elf" "$here/$1.S"
}

# The terminal adds carriage returns on some emulators
compare() {
  build "$1" || return 1
  timeout 20 "$qemu" -M virt -cpu rv64,zba=on,zbb=on,zbs=on,svnapot=on,svpbmt=on -bios "$folder/$1.elf" -nographic -serial mon:stdio \
    </dev/null 2>&1 | tr -d '\r' >"$folder/$1.theirs"
  for backend in ${SIG_BACKENDS:-auto interp}; do
    timeout 20 "$mortise" run virt-riscv64 -s boot.firmware="$folder/$1.elf" -s cpu.backend=$backend -s cpu.mmu=sv57 \
      </dev/null 2>&1 | tr -d '\r' >"$folder/$1.ours"
    if [ ! -s "$folder/$1.theirs" ] || ! cmp -s "$folder/$1.theirs" "$folder/$1.ours"; then
      echo "FAIL: $1, back end $backend (- the other emulator, + mortise)"
      diff -U6 "$folder/$1.theirs" "$folder/$1.ours" | head -40
      return 1
    fi
  done
  echo "ok: $1, $(wc -l <"$folder/$1.ours") lines"
}

failed=0
for name in ${1:-int fp csr traps paging wide pmp}; do
  compare "$name" || failed=1
done
exit $failed
