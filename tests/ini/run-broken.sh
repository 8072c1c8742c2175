#!/bin/sh
# SPDX-License-Identifier: MIT
# Each broken/NAME.ini must print broken/NAME.out: every message with its place, and the exit code. NAME.args holds further
# arguments. UPDATE=1 writes the .out files instead. Plugins of the files are built here and never run.
set -u

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
srcdir=$(CDPATH= cd -- "$here/../.." && pwd)
mortise=${MORTISE:-$srcdir/build/mortise}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

mkdir "$scratch/plugins"
for source in "$here"/plugins/*.c; do
  name=$(basename "$source" .c)
  ${CC:-cc} -shared -fPIC -fvisibility=hidden -Wl,-z,now -I"$srcdir/sdk" -o "$scratch/plugins/$name.so" "$source" || exit 1
done

# where plugins were looked for depends on the build
checked() { # name
  cd "$here/broken" || exit 1
  set -f
  IFS=' '
  # shellcheck disable=SC2046
  set -- "$1" $(cat "$1.args" 2>/dev/null)
  unset IFS
  set +f
  name=$1
  shift
  LC_ALL=C "$mortise" check "$name.ini" --plugin-path "$scratch/plugins" --machine-path "$here/machines" "$@" \
    > "$scratch/out" 2>&1 < /dev/null
  code=$?
  sed -e 's| is not in [0-9]* directo[a-z]*: .*| is not in DIRECTORIES|' -e "s|$here|HERE|g" "$scratch/out"
  echo "exit $code"
}

for file in "$here"/broken/*.ini; do
  name=$(basename "$file" .ini)
  checked "$name" > "$scratch/got"
  if [ -n "${UPDATE:-}" ]; then
    cp "$scratch/got" "$here/broken/$name.out"
  elif ! diff -u "$here/broken/$name.out" "$scratch/got"; then
    echo "$name: another output than broken/$name.out"
    failed=1
  fi
done
exit $failed
