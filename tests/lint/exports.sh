#!/bin/sh
# SPDX-License-Identifier: MIT
# Every built plugin exports exactly mortise_plugin_entry, needs no symbol of the program, is bound when it is loaded
# (DF_1_NOW) and has no text relocations: what the loader refuses is found here first.
. "$(dirname "$0")/common.sh"

built=${LINT_BUILD:-${TEST_BUILDDIR:-$root/build}}

check_module() { # file
  exported=$(nm -D --defined-only "$1" | awk '{ print $NF }' | tr '\n' ' ')
  [ "$exported" = "mortise_plugin_entry " ] || finding "$1: exports '$exported', not mortise_plugin_entry alone"
  for s in $(nm -D --undefined-only "$1" | awk '{ print $NF }' | grep -E '^(mt_|mortise)'); do
    finding "$1: needs $s from the program"
  done
  dynamic=$(readelf -dW "$1")
  echo "$dynamic" | grep -q 'FLAGS_1.*NOW' || finding "$1: is not linked with -z now"
  if echo "$dynamic" | grep -q TEXTREL; then finding "$1: has text relocations"; fi
}

n=0
for so in "$built"/plugins/*/.libs/*.so; do
  [ -e "$so" ] || continue
  n=$((n + 1))
  check_module "$so"
done
if [ $n = 0 ]; then
  echo "no plugin is built in $built"
  exit 77
fi
echo "$n modules"
finish exports
