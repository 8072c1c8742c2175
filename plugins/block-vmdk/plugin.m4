# SPDX-License-Identifier: MIT
MORTISE_PLUGIN_PKG([block-vmdk], [ZLIB], [zlib], [zlib1g-dev])
dnl Faster than zlib, and can be done without.
PKG_CHECK_MODULES([VMDK_DEFLATE], [libdeflate], [ZLIB_CFLAGS="$ZLIB_CFLAGS $VMDK_DEFLATE_CFLAGS -DHAVE_LIBDEFLATE"
  ZLIB_LIBS="$ZLIB_LIBS $VMDK_DEFLATE_LIBS"], [:])
