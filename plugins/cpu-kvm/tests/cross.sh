#!/bin/sh
# SPDX-License-Identifier: MIT
# The parts of cpu-kvm for hosts of other kinds than this one: compiled for them, with the headers of Linux that come with
# the cross compiler, and tested against a KVM of the tests' own in the user mode of another emulator.
set -eu

src=${TEST_SRCDIR:?}
kvm=$src/plugins/cpu-kvm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
missing=
flags="-std=c11 -D_GNU_SOURCE -O1 -fPIC -fvisibility=hidden -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -I$src/sdk -I$kvm -DMORTISE_VERSION=\"0\""

compile() { # compiler, folder of objects, source...
  with=$1 objects=$2
  shift 2
  mkdir -p "$objects"
  for f; do
    $with $flags -c "$f" -o "$objects/$(basename "$f" .c).o" || { echo "cross: $f does not compile with $with"; exit 1; }
  done
}

part() { # folder of the part, compiler, emulator, test...
  dir=$1 cc=$2 emulator=$3
  shift 3
  out=$work/$dir
  command -v "$cc" > /dev/null || { missing="$missing $cc"; return 0; }
  compile "$cc" "$out/host" "$kvm"/*.c "$kvm/$dir"/*.c
  # the module as it would be built: nothing of the kernel's is undefined
  $cc -shared -Wl,-z,defs -Wl,-z,now -o "$out/cpu-kvm.so" "$out"/host/*.o -lpthread ||
    { echo "cross: the plugin does not link with $cc"; exit 1; }
  echo "cross: $dir compiles and links"
  command -v "$emulator" > /dev/null || { missing="$missing $emulator"; return 0; }
  # sdk/fake without what needs libcheck: headers only
  compile "$cc" "$out/test" "$src"/sdk/fake/*.c "$kvm/tests/bench.c" "$kvm/tests/other/shim.c"
  rm "$out/host/ops.o"
  for test; do
    compile "$cc" "$out/$test" "$kvm/tests/other/$test.c"
    $cc -static -o "$out/$test/$test" "$out"/host/*.o "$out"/test/*.o "$out/$test/$test.o" -lpthread ||
      { echo "cross: $test does not link"; exit 1; }
    "$emulator" "$out/$test/$test" > "$out/log" 2>&1 || { tail -n 5 "$out/log"; echo "cross: $test fails"; exit 1; }
    echo "cross: $test: $(wc -l < "$out/log") tests pass"
  done
}

part riscv riscv64-linux-gnu-gcc qemu-riscv64 test-riscv
part arm64 aarch64-linux-gnu-gcc qemu-aarch64 test-arm64 test-arm64-gic
[ -z "$missing" ] || { echo "missing:$missing"; exit 77; }
