#!/bin/sh
# SPDX-License-Identifier: MIT
# A check that cannot fail checks nothing: each lint script is run over a clean sample and over samples that are broken in
# one way each, and must tell them apart.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
spdx='// SPDX-License-Identifier: MIT'

fresh() {
  rm -rf "$tmp/t"
  mkdir -p "$tmp/t/kernel/machine" "$tmp/t/sdk/mortise" "$tmp/t/plugins/dev-a" "$tmp/t/plugins/dev-b"
  printf '%s\n#include <stdint.h>\n' "$spdx" > "$tmp/t/sdk/mortise/plugin.h"
  printf '%s\n#include "a.h"\n#include <mortise/plugin.h>\n#include <zlib.h>\n' "$spdx" > "$tmp/t/plugins/dev-a/a.c"
  echo "$spdx" > "$tmp/t/plugins/dev-a/a.h"
  echo "$spdx" > "$tmp/t/plugins/dev-b/b.h"
  printf '%s\n#include <glib.h>\n#include "kernel/machine/bus.h"\n' "$spdx" > "$tmp/t/kernel/machine/bus.c"
  echo "$spdx" > "$tmp/t/kernel/machine/bus.h"
}

expect() { # what, wanted status, script
  status=0
  LINT_ROOT=$tmp/t LINT_BUILD=$tmp/t sh "$here/$3" > "$tmp/out" 2>&1 || status=$?
  if [ $status != "$2" ]; then
    echo "$3: $1: status $status, not $2"
    cat "$tmp/out"
    failed=1
  fi
}

# breaks the clean sample by appending TEXT to FILE, and wants SCRIPT to see it
broken() { # what, script, file, text
  fresh
  printf "$4\n" >> "$tmp/t/$3"
  expect "$1" 1 "$2"
}

fresh
expect 'a clean tree' 0 includes.sh
expect 'a clean tree' 0 style.sh
expect 'no plugin built' 77 exports.sh

broken 'plugin includes the kernel' includes.sh plugins/dev-a/a.c '#include "kernel/machine/bus.h"'
broken 'plugin includes the kernel by a path' includes.sh plugins/dev-a/a.c '#include "../../kernel/machine/bus.h"'
broken 'plugin includes another plugin' includes.sh plugins/dev-a/a.c '#include "../dev-b/b.h"'
broken 'plugin includes a header of the root' includes.sh plugins/dev-a/a.c '#include <plugins/dev-b/b.h>'
broken 'sdk includes the kernel' includes.sh sdk/mortise/plugin.h '#include "kernel/machine/bus.h"'
broken 'public header needs a library' includes.sh sdk/mortise/plugin.h '#include <glib.h>'
broken 'kernel includes a plugin' includes.sh kernel/machine/bus.c '#include "plugins/dev-a/a.h"'
broken 'kernel names a plugin' includes.sh kernel/machine/bus.c 'const char *n = "dev-a";'

broken 'wide line' style.sh kernel/machine/bus.c "// $(printf '%0130d' 0)"
broken 'long file' style.sh kernel/machine/bus.c "$(yes '' | head -n 750; echo 'int x;')"
broken 'long public header' style.sh sdk/mortise/plugin.h "$(yes '' | head -n 250; echo 'int x;')"
broken 'unfinished mark' style.sh kernel/machine/bus.c "// TO""DO"
broken 'path of one machine' style.sh kernel/machine/bus.c 'char *p = "/ho''me/me/x";'
broken 'mirror host' style.sh plugins/dev-a/a.h '// deb.''debian.org'
fresh
echo 'int x;' > "$tmp/t/plugins/dev-a/a.h"
expect 'no licence line' 1 style.sh

# modules: one good, and one broken in each way
module() { # what, wanted status, source, flags...
  fresh
  what=$1
  wanted=$2
  mkdir -p "$tmp/t/plugins/dev-a/.libs"
  echo "$3" > "$tmp/m.c"
  shift 3
  ${CC:-cc} -shared -fPIC "$@" -o "$tmp/t/plugins/dev-a/.libs/dev-a.so" "$tmp/m.c" || exit 1
  expect "$what" "$wanted" exports.sh
}
entry='void mortise_plugin_entry(void) {}'
module 'a good module' 0 "$entry" -Wl,-z,now
module 'a second export' 1 "$entry int second;" -Wl,-z,now
module 'no entry' 1 'int second;' -Wl,-z,now
module 'a symbol of the program' 1 'void mt_x(void); void mortise_plugin_entry(void) { mt_x(); }' -Wl,-z,now
module 'lazy binding' 1 "$entry" -Wl,-z,lazy

[ $failed = 0 ] && echo 'selftest: every check can fail'
exit $failed
