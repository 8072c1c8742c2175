#!/bin/sh
# SPDX-License-Identifier: MIT
# Each verb and each of its options, as --help prints them, stands in mortise(1) and in the completions of bash.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
mortise=${MORTISE:-$top/build/mortise}
failed=0

finding() { echo "$*"; failed=1; }

verbs=$("$mortise" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' | grep -v '^mortise$')
[ -n "$verbs" ] || finding "no verbs in mortise --help"

for verb in $verbs; do
  grep -q "^\.B mortise $verb\$" "$top/docs/mortise.1" || finding "mortise.1: no synopsis of $verb"
  grep -q "^\.SS $verb\$" "$top/docs/mortise.1" || finding "mortise.1: no description of $verb"
  row=$(grep "^    $verb) options=" "$top/completions/mortise.bash")
  [ -n "$row" ] || finding "mortise.bash: no row of $verb"
  options=$("$mortise" "$verb" --help | sed -n 's/^  \(-.,\|   \) \(--[a-z-]*\).*/\2/p')
  [ -n "$options" ] || finding "$verb --help: no options"
  for option in $options; do
    case " $(echo "$row" | tr '"' ' ') " in *" $option "*) ;; *) finding "mortise.bash: $verb lacks $option" ;; esac
    roff=$(echo "$option" | sed 's/-/\\-/g')
    grep -qF -- "$roff" "$top/docs/mortise.1" || finding "mortise.1: no $option ($verb)"
  done
done
exit $failed
