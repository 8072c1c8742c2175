#!/bin/sh
# SPDX-License-Identifier: MIT
# What a vendor does: the SDK is installed, and the template is built and tested against it by pkg-config only, by a
# compiler that sees no part of the source tree.
. "$(dirname "$0")/common.sh"

builddir=${TEST_BUILDDIR:-$srcdir/build}
[ -e "$builddir/Makefile" ] || skip "no configured build tree"
# a sanitizer would be in the archives, and wants to be in every program that links them
grep -q '^MORTISE_LDFLAGS = *-fsan' "$builddir/Makefile" && skip "a sanitizer build installs no SDK"
pkg-config --exists check || skip "libcheck is missing (Debian: check)"
make -C "$builddir" install-sdk "DESTDIR=$work/dest" > "$work/log" 2>&1 ||
  { tail -n 20 "$work/log"; die "make install-sdk failed"; }

# --define-prefix: from where the file is, not where it says
pc=$(find "$work/dest" -name mortise-plugin.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
sdk() { pkg-config --define-prefix "$@" mortise-plugin; }
check() { env -u PKG_CONFIG_PATH pkg-config "$@" check; }

cp sdk/template/plugin.c sdk/template/test-example.c "$work" && cd "$work" || exit 1
$cc -shared $(sdk --cflags) plugin.c -o dev-example.so $(sdk --libs) || die "the template does not build"
$cc -std=gnu11 $(sdk --cflags) $(check --cflags) test-example.c plugin.c -o test-example \
  "-L$(sdk --variable=libdir)" -lmtfake $(sdk --libs) $(check --libs) || die "the template's test does not build"
./test-example || die "the template's test fails"
[ "$(nm -D --defined-only dev-example.so | awk '{ print $3 }')" = mortise_plugin_entry ] || die "wrong exports"
nm -D --undefined-only dev-example.so | grep -i ' mt_' && die "undefined symbols"
sdk --variable=plugindir | grep -q '/mortise/1$' || die "plugindir is missing"
echo "install: the template builds and passes against the installed SDK"
