#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line by itself: exit codes, suggestions, formats, and that what one verb prints another one takes.
set -u
# shellcheck disable=SC2086 # the option lists below are meant to be split

top=$(cd "$(dirname "$0")/../.." && pwd)
mortise=${MORTISE:-$top/build/mortise}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

mkdir "$scratch/plugins" "$scratch/machines"
${CC:-cc} -shared -fPIC -fvisibility=hidden -Wl,-z,now -I"$top/sdk" -o "$scratch/plugins/test-parts.so" \
  "$top/tests/ini/plugins/test-parts.c" || exit 1
echo garbage > "$scratch/plugins/test-bad.so"
cp "$top/tests/ini/machines/tiny.ini" "$scratch/machines/"
plugins="--plugin-path $scratch/plugins"
machines="--machine-path $scratch/machines"

# expect CODE WORDS COMMAND...: the command ends with CODE and prints WORDS
expect() {
  code=$1 words=$2
  shift 2
  LC_ALL=C "$@" > "$scratch/out" 2>&1 < /dev/null
  got=$?
  if [ $got != "$code" ] || ! grep -qF -- "$words" "$scratch/out"; then
    echo "$*: wanted exit $code and '$words', got exit $got and:"
    sed 's/^/    /' "$scratch/out"
    failed=1
  fi
}

json() { # COMMAND...: prints one JSON value, and nothing else
  "$@" < /dev/null 2> "$scratch/err" | python3 -c 'import json, sys; json.load(sys.stdin)' && [ ! -s "$scratch/err" ] ||
    { echo "$*: no JSON, or more than that"; failed=1; }
}

expect 2 "usage: mortise VERB" "$mortise"
expect 0 "usage: mortise VERB" "$mortise" --help
expect 0 "mortise 0." "$mortise" --version
expect 2 "did you mean 'check'?" "$mortise" chek
expect 2 "did you mean '--plugin-path'?" "$mortise" check --plugin-pth x
expect 2 "see: mortise check --help" "$mortise" check -z x
expect 2 "needs a value" "$mortise" check tiny -s
expect 2 "takes no value" "$mortise" check tiny --map=yes
expect 2 "one word too many" "$mortise" check tiny other
expect 2 "wanted: mortise run FILE|NAME" "$mortise" run
expect 2 "is no format" "$mortise" plugins --format xml
expect 0 "usage: mortise new" "$mortise" help new
expect 2 "no file and no shipped machine is called 'tniy'; did you mean 'tiny'?" "$mortise" check $machines tniy

expect 0 "tiny: no errors" "$mortise" check $plugins $machines tiny
expect 2 "cpu has no property 'cuont'" "$mortise" check $plugins $machines tiny -s cpu.cuont=3
expect 3 "the package mortise-plugin-dev-other may have it" "$mortise" check $plugins $machines tiny -s plic.plugin=dev-other
# what the accelerator's file brings on hosts of another kind
expect 2 "cpu-tcg may have it on hosts that run such machines" "$mortise" check virt-riscv64 -s machine.arch=other \
  -s plic.plugin=dev-other
# where Linux for RISC-V reads the rate of its counter
expect 0 "timebase-frequency = <0x16e3600>;" "$mortise" check --dts virt-riscv64 -s boot.firmware= \
  -s machine.timebase=24000000
expect 3 "test-bad.so: magic: not an ELF file" "$mortise" check $plugins $machines tiny -s plic.plugin=test-bad
expect 2 "has no property" "$mortise" run $plugins $machines tiny -s cpu.cuont=3
expect 0 "plic:7" "$mortise" check $plugins $machines --map "$top/tests/ini/good/full.ini" -s eth0.irq=plic:7
expect 0 "count = 3                               ; from -s:1" "$mortise" check $plugins $machines tiny --effective -s cpu.count=3
json "$mortise" check $plugins $machines tiny --json
json "$mortise" check $plugins $machines tiny --format=json -s a.b=c
json "$mortise" check $plugins $machines tiny --json --map
json "$mortise" check $plugins $machines tiny --json --effective --map
json "$mortise" check $plugins $machines tiny --json --effective --map -s cpu.cuont=3
expect 0 '{"first": "0xc000000", "bytes": "0x4000000", "section": "device plic", "key": "at", "space": "system"}' \
  "$mortise" check $plugins $machines tiny --json --map
expect 0 '{"name": "count", "value": "3", "file": "-s", "line": 1, "column": 5}' \
  "$mortise" check $plugins $machines tiny --json --effective -s cpu.count=3

# what --effective prints is a machine file that comes to the same, in the same folder
cp "$top/tests/ini/good/full.ini" "$scratch/"
"$mortise" check $plugins $machines --effective "$scratch/full.ini" > "$scratch/one.ini"
"$mortise" check $plugins $machines --effective "$scratch/one.ini" > "$scratch/two.ini"
sed 's/ *; from .*//' "$scratch/one.ini" > "$scratch/one"
sed 's/ *; from .*//' "$scratch/two.ini" > "$scratch/two"
cmp "$scratch/one" "$scratch/two" || failed=1

expect 0 "test-nic" "$mortise" plugins $plugins
expect 0 "test-bad.so: magic: not an ELF file" "$mortise" plugins $plugins
expect 0 "mortise-plugin-test-parts" "$mortise" plugins -l $plugins
expect 0 "can be loaded" "$mortise" plugins $plugins --why test-plic
expect 3 "not an ELF file" "$mortise" plugins $plugins --why test-bad
expect 3 "may have it" "$mortise" plugins $plugins --why nothing-such
expect 0 '"loadable": true' "$mortise" plugins $plugins --why test-plic --json
expect 3 '"loadable": false, "reason": ' "$mortise" plugins $plugins --why test-bad --json
json "$mortise" plugins $plugins --why test-bad --json
json "$mortise" plugins $plugins --why nothing-such --json
json "$mortise" plugins $plugins --json

expect 0 "size 4K..1M bytes, default 64K" "$mortise" describe $plugins test-nic
expect 0 "plugin = test-nic" "$mortise" describe "$scratch/plugins/test-parts.so"
expect 0 ".TH MORTISE-TEST-NIC 7" "$mortise" describe $plugins test-nic --man
expect 2 "did you mean 'test-nic'?" "$mortise" describe $plugins test-nci
expect 3 "not an ELF file" "$mortise" describe "$scratch/plugins/test-bad.so"
json "$mortise" describe $plugins test-nic --json
expect 2 "cannot be JSON" "$mortise" describe $plugins test-nic --man --json
json "$mortise" describe "$scratch/plugins/test-parts.so" --json

expect 0 "tiny" "$mortise" new $machines --list
expect 0 "[device plic]" "$mortise" new $machines tiny
expect 2 "did you mean 'tiny'?" "$mortise" new $machines tinny
json "$mortise" new $machines --list --json
json "$mortise" new $machines tiny --json
expect 1 "standard output cannot be written" sh -c '"$1" --help > /dev/full' sh "$mortise"
expect 1 "standard output cannot be written" sh -c '"$1" --help >&-' sh "$mortise"
exit $failed
