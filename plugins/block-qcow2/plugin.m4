# SPDX-License-Identifier: MIT
MORTISE_PLUGIN_PKG([block-qcow2], [QCOW2], [zlib libzstd], [zlib1g-dev libzstd-dev])
dnl Faster than zlib, and can be done without.
PKG_CHECK_MODULES([QCOW2_DEFLATE], [libdeflate], [QCOW2_CFLAGS="$QCOW2_CFLAGS $QCOW2_DEFLATE_CFLAGS -DHAVE_LIBDEFLATE"
  QCOW2_LIBS="$QCOW2_LIBS $QCOW2_DEFLATE_LIBS"], [:])
