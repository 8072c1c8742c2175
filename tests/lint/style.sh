#!/bin/sh
# SPDX-License-Identifier: MIT
# What the style can be checked for by reading: licence line, width, length, words that do not belong into a source.
. "$(dirname "$0")/common.sh"

folders="kernel sdk plugins conf docs tests m4 .ci"
max_columns=120
max_lines=700
max_public_header=200

sources() {
  find $folders -type f \( -name '*.[chS]' -o -name '*.sh' -o -name '*.py' -o -name '*.am' -o -name 'plugin.m4' -o \
    -name 'mortise.m4' \) ! -path '*/__pycache__/*' 2>/dev/null | LC_ALL=C sort
  for f in autogen.sh configure.ac Makefile.am .ci/run; do [ ! -e $f ] || echo $f; done
}

check_licence() {
  sources | while read -r f; do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || finding "$f:1: no SPDX line"
  done
}

check_width() {
  c_files $folders | while read -r f; do
    LC_ALL=C.UTF-8 grep -nE "^.{$((max_columns + 1)),}" "$f" | cut -d: -f1 |
      while read -r n; do finding "$f:$n: longer than $max_columns columns"; done
  done
}

# A file that is one table says so in its head
check_length() {
  c_files kernel sdk plugins | while read -r f; do
    n=$(wc -l < "$f")
    case $f in
      sdk/mortise/*) [ "$n" -le $max_public_header ] || finding "$f: $n lines, public headers have $max_public_header" ;;
    esac
    if [ "$n" -gt $max_lines ] && ! head -n 15 "$f" | grep -qiw 'tables\{0,1\}'; then finding "$f: $n lines"; fi
  done
}

# The brackets keep this file from finding itself
unfinished='\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b'
places='(^|[^A-Za-z0-9_$}.-])/(wor[k]|roo[t]|hom[e])/[A-Za-z]'
hosts='deb[.]debian[.]org|security[.]debian[.]org|ftp[.][a-z.]*debian[.]org|snapshot[.]debian[.]org|github[.]com'
check_words() {
  { sources; find $folders README.md NEWS -type f \( -name '*.md' -o -name '*.ini' -o -name '*.[1-8]' \) 2>/dev/null; } |
    while read -r f; do
      grep -nIE "$unfinished|$places|$hosts" "$f" | cut -c1-100 | while read -r l; do finding "$f:$l"; done
    done
}

check_licence
check_width
check_length
check_words
finish style
