#!/bin/sh
# SPDX-License-Identifier: MIT
# Each installed header compiles alone, as strict C99 and as C++; the ABI's headers twice in a row too. Each is in the list
# of what is installed.
. "$(dirname "$0")/common.sh"

status=0
cxx=${CXX:-c++}
command -v "$cxx" > /dev/null || cxx=

# note-emit.h wants a plugin's description
note='#define MT_NOTE_NAME "x"
#define MT_NOTE_VERSION "1"
#define MT_NOTE_VENDOR "v"
#define MT_NOTE_LICENCE "MIT"
#define MT_NOTE_SUMMARY "s"
#define MT_NOTE_REQUIRES ""
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS 0
#define X_PROPS(P, c) P(c, at, "at", MT_PROP_ADDR, "", "0x10", "", 0, "h") P(c, n, "n", MT_PROP_INT, "1", "1..2", "", 0, "h")
#define Y_PROPS(P, c)
#define MT_NOTE_CLASSES(C) C(x, "x", MT_KIND_DEVICE, 0, "s", "", X_PROPS) C(y, "y", MT_KIND_BOOT, 0, "s", "r", Y_PROPS)'

compile() { # compiler and options, language, header
  { case $3 in *note-emit.h) echo "$note" ;; esac
    echo "#include <$3>"
    echo "#include <$3>"
    echo 'extern int nothing_else;'
  } | $1 -x "$2" -Wall -Wextra -Wno-unused-function -Wno-unused-variable -Werror -pedantic -Isdk -fsyntax-only - \
    > "$work/log" 2>&1 || { echo "$3 as $2:"; head -n 5 "$work/log"; status=1; }
}

for h in $(public_headers); do
  compile "$cc -std=c99" c "$h"
  [ -z "$cxx" ] || compile "$cxx -std=c++11" c++ "$h"
done
for h in $(helper_headers); do
  case $h in fake/boot.h | fake/check-run.h | fake/image.h) continue ;; esac # for libcheck, which is not strict itself
  compile "$cc -std=c99" c "$h"
  [ -z "$cxx" ] || compile "$cxx -std=c++11" c++ "$h"
done

for h in $(public_headers) $(helper_headers); do
  grep -q "sdk/$h" sdk/sdk.am || { echo "sdk/$h is not in the list of sdk/sdk.am"; status=1; }
done
[ -n "$cxx" ] || echo "headers: no C++ compiler, C only"
exit $status
