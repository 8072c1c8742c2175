#!/bin/sh
# SPDX-License-Identifier: MIT
# Records the public structs and constants as they are now: sdk/abi/history/mortise-1.* and tests/abi/offsets.h. To be run,
# and its result committed, with every meant change of a header.
. "$(dirname "$0")/common.sh"

command -v abidw > /dev/null || die "abidw is missing (Debian: abigail-tools)"
sh tests/abi/witness.sh --record "$srcdir/sdk/abi/history" || exit 1
write_offsets() {
  echo '/* SPDX-License-Identifier: MIT */'
  echo '/* Written by record.sh: a table of the sizes of the public structs and the offsets of their members. */'
  struct_headers | sed 's,^,sdk/,' | xargs awk '
    /^struct mt_[a-z0-9_]* \{/ { name = $2; nested = 0; print "SIZE " name; next }
    name == "" { next }
    { sub(/\/\*.*\*\//, ""); sub(/\/\*.*/, "") }
    /^\};/ { name = ""; next }
    /^ *\*/ || in_comment { next }
    /^\t[a-z]/ && match($0, /\(\*[a-z_0-9]+\)\(/) {     # a function: the first name in (*...) is the member
      print "OFFSET " name " " substr($0, RSTART + 2, RLENGTH - 4); next
    }
    /^\t[a-z].*;/ {
      line = $0; sub(/;.*/, "", line); sub(/^\t/, "", line); gsub(/\[[^]]*\]/, "", line)
      n = split(line, part, ",")
      for (i = 1; i <= n; i++) { m = part[i]; sub(/.*[ *]/, "", m); print "OFFSET " name " " m }
    }' > "$work/members"
  { struct_headers | sed 's/.*/#include <&>/'
    echo '#include <stddef.h>'; echo '#include <stdio.h>'; echo 'int main(void) {'
    sed -n -e 's/^SIZE \(.*\)/printf("SIZE(\1, %zu)\\n", sizeof(struct \1));/p' \
      -e 's/^OFFSET \([^ ]*\) \(.*\)/printf("OFFSET(\1, \2, %zu)\\n", offsetof(struct \1, \2));/p' "$work/members"
    echo 'return 0; }'
  } > "$work/print.c"
  $cc -Isdk -o "$work/print" "$work/print.c" && "$work/print"
}
write_offsets > "$work/offsets.h" || die "the offsets could not be computed"
cp "$work/offsets.h" tests/abi/offsets.h
echo "recorded: sdk/abi/history/mortise-1.*, tests/abi/offsets.h"
