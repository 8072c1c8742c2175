#!/bin/sh
# SPDX-License-Identifier: MIT
# What only the plugins themselves can find wrong with a machine: `run` names file, line, column, section and key, shows
# the line, ends with the code of its kind, and the guest does not start. No firmware of a package is needed.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
mortise=${MORTISE:-$top/build/mortise}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

# wfi; j . - a guest that would run for ever
printf '\163\000\120\020\157\000\000\000' > "$scratch/loop.bin"
echo 'no kernel' > "$scratch/text"
cat > "$scratch/base.ini" <<EOF
[machine]
schema = 1
arch = riscv64
[cpu]
plugin = cpu-tcg
[memory ram]
at = 0x80000000
size = 16M
[boot]
plugin = dev-boot-riscv
firmware = loop.bin
[device plic]
plugin = dev-riscv-plic
at = 0x0c000000
sources = 31
EOF

# refused CODE PLACE-AND-WORDS LINE CARET < further sections
refused() {
  { printf '[machine]\nschema = 1\ninclude.1 = base.ini\n'; cat; } > "$scratch/test.ini"
  (cd "$scratch" && LC_ALL=C timeout 20 "$mortise" run test.ini > out 2>&1 < /dev/null)
  got=$?
  if [ $got != "$1" ] || ! grep -qF -- "test.ini:$2" "$scratch/out" || ! grep -qF -- " | $3" "$scratch/out" ||
    ! grep -qxF -- "      | $4" "$scratch/out"; then
    echo "wanted exit $1, '$2', '$3' and '$4', got exit $got and:"
    sed 's/^/    /' "$scratch/out"
    failed=1
  fi
}

uart='[device uart0]
plugin = dev-uart16550
at = 0x10000000'

refused 2 "7:7: error: [device uart0]: irq: interrupt plic:32 leads nowhere" 'irq = plic:32' '      ^~~~~~~' <<EOF
$uart
irq = plic:32
EOF
refused 2 "7:7: error: [device uart0]: irq: interrupt plic:0 leads nowhere" 'irq = plic:0' '      ^~~~~~' <<EOF
$uart
irq = plic:0
EOF
refused 2 "5:7: error: [cpu]: isa: unknown extension 'q'" 'isa = rv64imaq' '      ^~~~~~~~' <<EOF
[cpu]
isa = rv64imaq
EOF
refused 2 "5:10: error: [boot]: kernel: $scratch/text: neither" 'kernel = text' '         ^~~~' <<EOF
[boot]
kernel = text
EOF
refused 2 "5:10: error: [boot]: kernel: /dev/null is not a regular file" 'kernel = /dev/null' '         ^~~~~~~~~' <<EOF
[boot]
kernel = /dev/null
EOF
refused 2 "6:8: error: [memory far]: size: memory 'far' cannot be" 'size = 8192T' '       ^~~~~' <<EOF
[memory far]
at = 0x100000000
size = 8192T
EOF
# what a plugin makes stands beside the file that names it too, wherever the program was started
refused 1 "6:8: error: [device line]: link: $scratch/text: File exists" 'link = text' '       ^~~~' <<EOF
[device line]
plugin = dev-char-pty
link = text
EOF
mkdir "$scratch/folder"
mv "$scratch"/*.ini "$scratch/loop.bin" "$scratch/text" "$scratch/folder/"
(cd "$scratch" && LC_ALL=C timeout 20 "$mortise" run folder/test.ini > out 2>&1 < /dev/null)
grep -qF "link: $scratch/folder/text: File exists" "$scratch/out" || { cat "$scratch/out"; failed=1; }
exit $failed
