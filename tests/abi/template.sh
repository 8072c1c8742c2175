#!/bin/sh
# SPDX-License-Identifier: MIT
# A plugin is one folder and no edit elsewhere: a copy of the source tree gets the template as plugins/dev-example2, and
# builds and tests it. The name inside the template is all that is changed.
. "$(dirname "$0")/common.sh"

for t in autoreconf automake libtoolize; do command -v $t > /dev/null || skip "$t is missing"; done
pkg-config --exists check || skip "libcheck is missing (Debian: check)"

# what is no source: build trees, what configure and others wrote
mkdir "$work/tree"
tar -c --exclude=./.git --exclude='./build*' --exclude=./autom4te.cache --exclude='*.o' --exclude='*.lo' --exclude=.libs . |
  tar -x -C "$work/tree" || die "the source tree could not be copied"
cd "$work/tree" || exit 1
chmod -R u+w .

name=dev-example2
mkdir plugins/$name
for f in sdk/template/*; do
  out=$(basename "$f" | sed "s/dev-example/$name/")
  sed -e "s/dev-example/$name/g" -e "s/dev\\\\-example/dev\\\\-example2/g" -e 's/DEV_EXAMPLE/DEV_EXAMPLE2/g' \
    -e 's/dev_example/dev_example2/g' "$f" > "plugins/$name/$out"
done

mkdir obj
cd obj || exit 1
CC=$cc ../autogen.sh --enable-werror > log 2>&1 || { tail -n 20 log; die "configure failed with the template added"; }
grep "^  $name  *yes" log > /dev/null || die "configure does not list $name"
make "plugins/$name/$name.la" "plugins/$name/test-example" > log 2>&1 || { tail -n 20 log; die "the template does not build"; }
"plugins/$name/test-example" || die "the template's own test fails"
[ -e "plugins/$name/.libs/$name.so" ] || die "$name.so is not there"
echo "template: builds and passes as plugins/$name"
