#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [TARGET...]: fuzzes plugins with a fuzz.ini (by name), disk formats (by their plugins' names), `nbd`, `control` and
# `text`; all of them without an argument. Each for FUZZ_SECONDS (60), in a build of its own below TEST_BUILDDIR (or ./build).
# What is found lies in TARGET.found/ there; what is new is in TARGET.corpus/, and goes into the tree by
# `run.sh --merge TARGET...`; a format's corpus is a few images that are kept by hand, and is not merged.
set -eu
src=$(cd "$(dirname "$0")/../.." && pwd)
top=$(cd "${TEST_BUILDDIR:-$PWD/build}" && pwd)
build=$top/fuzz
seconds=${FUZZ_SECONDS:-60}
cc=${FUZZ_CC:-clang}
merge=
if [ "${1-}" = --merge ]; then merge=1; shift; fi

configure_build() {
  [ ! -e "$build/Makefile" ] || return 0
  mkdir -p "$build"
  (cd "$build" && "$src/configure" CC="$cc" --enable-asan --enable-ubsan --enable-debug --enable-fuzz) \
    > "$build.log" 2>&1 || { tail -n 20 "$build.log"; exit 1; }
}

formats() { for f in "$src"/plugins/block-*/fuzz-*.c; do f=${f%/*}; echo "${f##*/}"; done; echo nbd; }

targets() { for f in "$src"/plugins/*/fuzz.ini; do f=${f%/fuzz.ini}; echo "${f##*/}"; done; echo control text; formats; }

# The programs of formats replay their corpora; with these words of make they are libFuzzer's.
format_programs() { for t in $(formats); do program "$t"; done; }

libraries() { for f in "$src"/plugins/*/plugin.am; do f=${f%/plugin.am}; echo "plugins/${f##*/}/${f##*/}.la"; done; }

# The program of a target, its corpus in the tree, and the longest input that is worth while
program() {
  case $1 in
    control | text) echo "tests/fuzz/fuzz-$1" ;;
    nbd) echo kernel/nbd/fuzz-nbd ;;
    block-*) echo "plugins/$1/fuzz-${1#block-}" ;;
    *) echo tests/fuzz/fuzz-device ;;
  esac
}
corpus() {
  case $1 in
    control | text) echo "$src/tests/fuzz/$1" ;;
    nbd) echo "$src/kernel/nbd/corpus" ;;
    block-*) echo "$src/plugins/$1/corpus" ;;
    *) echo "$src/plugins/$1/fuzz" ;;
  esac
}
max_len() { case $1 in block-*) echo 131072 ;; nbd) echo 8192 ;; *) echo 1024 ;; esac; }
# MiB that the program may take: a hostile image or client gets no more
memory() { case $1 in block-* | nbd) echo 256 ;; *) echo 1024 ;; esac; }

engine() { # target, arguments
  t=$1
  shift
  FUZZ_MACHINE=$src/plugins/$t/fuzz.ini FUZZ_REUSE=${FUZZ_REUSE:-16} \
    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1 \
    "$build/$(program "$t")" "$@" 2>&1
}

fuzz_one() {
  mkdir -p "$build/$1.corpus" "$build/$1.found"
  if engine "$1" "$build/$1.corpus" "$(corpus "$1")" -max_total_time="$seconds" -timeout="${FUZZ_TIMEOUT:-1}" \
    -rss_limit_mb="$(memory "$1")" -malloc_limit_mb=256 -max_len="$(max_len "$1")" -detect_leaks=0 -artifact_prefix="$build/$1.found/" \
    > "$build/$1.log"; then
    echo "$1: $(grep -E 'DONE|cov:' "$build/$1.log" | tail -n 1)"
  else
    grep -E 'SUMMARY|runtime error|fuzz:' "$build/$1.log" | head -n 3
    echo "$1: FOUND: see $build/$1.log and $build/$1.found"
    return 1
  fi
}

# The smallest set of inputs that reaches the same, in place of the tree's
merge_one() {
  case $1 in block-* | nbd) echo "$1: its corpus is kept by hand"; return ;; esac
  old=$build/$1.old
  rm -rf "$old"
  mv "$(corpus "$1")" "$old"
  mkdir "$(corpus "$1")"
  engine "$1" -merge=1 -max_len=1024 "$(corpus "$1")" "$old" "$build/$1.corpus" > "$build/$1.log"
  echo "$1: $(ls "$(corpus "$1")" | wc -l) inputs"
}

configure_build
# shellcheck disable=SC2046 # a word each
make -C "$build" -j"$(nproc)" tests/fuzz/fuzz-device tests/fuzz/fuzz-control tests/fuzz/fuzz-text $(libraries) \
  > "$build.log" 2>&1 || { tail -n 20 "$build.log"; exit 1; }
# shellcheck disable=SC2046
make -C "$build" -j"$(nproc)" CPPFLAGS=-DFUZZ_ENGINE LDFLAGS=-fsanitize=fuzzer $(format_programs) >> "$build.log" 2>&1 ||
  { tail -n 20 "$build.log"; exit 1; }
[ $# -gt 0 ] || set -- $(targets)
status=0
for t in "$@"; do
  if [ "$merge" ]; then merge_one "$t"; else fuzz_one "$t" || status=1; fi
done
exit $status
