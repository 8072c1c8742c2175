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
  told=$(sources | xargs -r awk '
    FNR <= 3 && /SPDX-License-Identifier: MIT/ { has[FILENAME] = 1 }
    END { for (i = 1; i < ARGC; i++) if (!(ARGV[i] in has)) print ARGV[i] ":1: no SPDX line" }')
  all_findings "$told"
}

# Columns are characters: what has too many bytes is counted again
check_width() {
  c_files $folders | LC_ALL=C xargs -r grep -nHE "^.{$((max_columns + 1)),}" |
    LC_ALL=C.UTF-8 sed -nE "s/^([^:]*:[0-9]+):.{$((max_columns + 1)),}/\1: longer than $max_columns columns/p" |
    findings_from
}

# A file that is one table says so in its head
check_length() {
  told=$(c_files kernel sdk plugins | xargs -r awk -v max=$max_lines -v public=$max_public_header '
    { lines[FILENAME] = FNR }
    FNR <= 15 && tolower($0) ~ /(^|[^a-z0-9_])tables?([^a-z0-9_]|$)/ { table[FILENAME] = 1 }
    END {
      for (f in lines) {
        if (f ~ /^sdk\/mortise\// && lines[f] > public)
          print f ": " lines[f] " lines, public headers have " public
        if (lines[f] > max && !(f in table))
          print f ": " lines[f] " lines"
      }
    }')
  all_findings "$told"
}

# The brackets keep this file from finding itself
unfinished='\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b'
places='(^|[^A-Za-z0-9_$}.-])/(wor[k]|roo[t]|hom[e])/[A-Za-z]'
hosts='deb[.]debian[.]org|security[.]debian[.]org|ftp[.][a-z.]*debian[.]org|snapshot[.]debian[.]org|github[.]com'
check_words() {
  { sources; find $folders README.md NEWS -type f \( -name '*.md' -o -name '*.ini' -o -name '*.[1-8]' \) 2>/dev/null; } |
    xargs -r grep -nHIE "$unfinished|$places|$hosts" | cut -c1-160 | findings_from
}

check_licence
check_width
check_length
check_words
finish style
