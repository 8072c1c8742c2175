# SPDX-License-Identifier: MIT
# Sourced by the ABI gates. They need a compiler and a source tree, not a built mortise.
set -u
srcdir=${TEST_SRCDIR:-$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)}
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$srcdir" || exit 1

skip() { echo "$*"; exit 77; }
die() { echo "$*"; exit 1; }

# the installed headers, as one includes them
public_headers() { (cd sdk && find mortise -name '*.h' | LC_ALL=C sort); }
# note-emit.h describes one plugin: its structs are that plugin's own
struct_headers() { public_headers | grep -v note-emit.h; }
helper_headers() { (cd sdk && find util lib fake -name '*.h' ! -name '*internal.h' | LC_ALL=C sort); }

# One function a public struct: tools that read debug information see what get_interface hides from them
write_witness() { # output file
  {
    struct_headers | sed 's/.*/#include <&>/'
    struct_headers | sed 's,^,sdk/,' | xargs sed -n 's/^struct \(mt_[a-z0-9_]*\) {.*/\1/p' | LC_ALL=C sort -u |
      sed 's/.*/void witness_&(const struct & *it);\nvoid witness_&(const struct & *it) { (void)it; }/'
  } > "$1"
}

# The constants: names and values of the macros that take no argument
write_constants() { # output file
  struct_headers | sed 's/.*/#include <&>/' | $cc -Isdk -E -dM - | grep '^#define MT_[A-Z0-9_]* .' | LC_ALL=C sort > "$1"
}
