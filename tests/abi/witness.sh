#!/bin/sh
# SPDX-License-Identifier: MIT
# The layout of every public struct and the value of every constant is what sdk/abi/history holds: any change fails until it
# is recorded (record.sh), so that none happens unseen. With --record DIR it writes the files instead.
. "$(dirname "$0")/common.sh"

history=sdk/abi/history
into=$work
[ "${1-}" != --record ] || into=$2
changed="the ABI changed: if that is meant, run tests/abi/record.sh and commit what it writes"

write_constants "$into/mortise-1.constants"
[ "$into" != "$work" ] || diff -u $history/mortise-1.constants "$work/mortise-1.constants" || die "$changed"
command -v abidw > /dev/null && command -v abidiff > /dev/null || skip "abidw and abidiff are missing (Debian: abigail-tools)"

write_witness "$work/witness.c"
# plain flags: a sanitizer's or the user's would add what is none of the ABI
$cc -std=gnu11 -g -O0 -fPIC -shared -fno-eliminate-unused-debug-types -Isdk -o "$work/libwitness.so" "$work/witness.c" ||
  die "the witness does not compile"
abidw --no-show-locs --no-corpus-path --no-comp-dir-path --no-architecture "$work/libwitness.so" > "$into/mortise-1.abi" ||
  die "abidw failed"
# where the witness was compiled is nobody's business, and changes each time
sed -i "s, path='[^']*/witness.c', path='witness.c',g" "$into/mortise-1.abi"
[ "$into" = "$work" ] || exit 0
abidiff --no-show-locs $history/mortise-1.abi "$work/mortise-1.abi" > "$work/diff"
status=$?
# bit 1 and 2: the tool failed; 4 and 8: it found a change
[ $((status & 3)) = 0 ] || { cat "$work/diff"; die "abidiff failed"; }
[ $status != 0 ] || { echo "witness: the ABI is as recorded"; exit 0; }
cat "$work/diff"
die "$changed"
