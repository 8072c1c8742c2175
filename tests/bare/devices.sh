#!/bin/sh
# SPDX-License-Identifier: MIT
# A bare-metal program drives the devices of the shipped RISC-V machine and ends it with an exit code.
set -u
gcc=riscv64-linux-gnu-gcc
command -v $gcc > /dev/null || { echo "$gcc is missing (Debian: gcc-riscv64-linux-gnu)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

$gcc -nostdlib -static -Wl,-Ttext=0x80000000 -Wl,--build-id=none -march=rv64imac_zicsr -mabi=lp64 \
  "$TEST_SRCDIR/tests/bare/devices.S" -o "$work/devices" || exit 1
status=0
for count in 1 3; do
  timeout 30 "$MORTISE" run virt-riscv64 -s boot.firmware="$work/devices" -s boot.append= -s cpu.count=$count \
    < /dev/null > "$work/out" 2>&1
  code=$?
  grep -q 'devices: hello' "$work/out" || { echo "$count vCPU(s): nothing was printed"; status=1; }
  [ $code = 42 ] || { cat "$work/out"; echo "$count vCPU(s): exit code $code, not 42"; status=1; }
done
exit $status
