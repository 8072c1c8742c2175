#!/bin/sh
# SPDX-License-Identifier: MIT
# Imports run one way: libc <- sdk/mortise <- sdk <- plugins, and sdk <- kernel. A plugin includes its own folder, the sdk
# and system headers; the sdk never the kernel or a plugin; the kernel never a plugin, and it names none.
. "$(dirname "$0")/common.sh"

# FILE:LINE <header> or FILE:LINE "header", for all C sources of the folders named
includes_of() {
  c_files "$@" | while read -r f; do
    sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*\([<"][^>"]*[>"]\).*/\1/p; t
      s/^[[:space:]]*#[[:space:]]*include[[:space:]]*\([A-Z_a-z].*\)/macro:\1/p' "$f" |
      while read -r h; do echo "$f $h"; done
  done
}

# the folder that a quoted header is found in, as the compiler looks for it; empty: none of this tree
resolve() { # file, header, own folder
  for d in "$(dirname "$1")" "$3" sdk; do
    if [ -e "$d/$2" ]; then realpath --relative-to=. "$d/$2"; return; fi
  done
}

check_plugin() { # folder
  includes_of "$1" | while read -r f h; do
    name=$(echo "$h" | tr -d '<>"')
    case $h in
      macro:*) continue ;; # a generated name: the compiler's include path holds nothing else anyway
      *kernel/* | *plugins/*) finding "$f: includes $h"; continue ;;
    esac
    found=$(resolve "$f" "$name" "$1")
    case $found in
      "$1"/* | sdk/*) ;;
      '') # a header of the system, or one that only another -I would find
        if [ -e "$name" ]; then finding "$f: includes $h, which is outside of $1 and the sdk"; fi ;;
      *) finding "$f: includes $h, which is outside of $1 and the sdk" ;;
    esac
  done
}

# The installed headers depend on libc only
libc=' assert.h errno.h float.h inttypes.h limits.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h string.h '
check_public_headers() {
  includes_of sdk/mortise | while read -r f h; do
    name=$(echo "$h" | tr -d '<>"')
    case $libc in *" $name "*) continue ;; esac
    case $name in
      mortise/*) [ -e "sdk/$name" ] || finding "$f: includes $h, which does not exist" ;;
      *) [ -e "sdk/mortise/$name" ] || [ -e "$(dirname "$f")/$name" ] || finding "$f: includes $h, which is not libc" ;;
    esac
  done
}

check_no_include() { # folder, forbidden pattern
  includes_of "$1" | while read -r f h; do
    if echo "$h" | grep -Eq "$2"; then finding "$f: includes $h"; fi
  done
}

# A plugin's name in a string of the kernel would be a branch on it; tests of the kernel may name what they load
check_kernel_names() {
  c_files kernel | grep -Ev '/(test|fake|bench)[^/]*$|/tests?/' | while read -r f; do
    grep -nE '"[^"]*\b(cpu|dev|block)-[a-z0-9]' "$f" | grep -Ev ':[[:space:]]*(//|\*|/\*)' |
      while read -r l; do finding "$f:$l"; done
  done
}

for p in plugins/*/; do
  [ ! -d "$p" ] || check_plugin "${p%/}"
done
check_public_headers
check_no_include sdk '(kernel|plugins)/'
check_no_include kernel 'plugins/'
check_kernel_names
finish includes
