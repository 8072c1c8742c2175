# SPDX-License-Identifier: MIT
# MPFR is the oracle of the FP tests only: without it the plugin is whole and test-mpfr skips.
MORTISE_PLUGIN([cpu-tcg])
PKG_CHECK_MODULES([MPFR], [mpfr >= 4.0], [MPFR_CFLAGS="$MPFR_CFLAGS -DHAVE_MPFR"], [MPFR_LIBS=])
dnl A back end that emits machine code is built for its own host only.
AM_CONDITIONAL([TCG_HOST_X86_64], [test "$host_cpu" = x86_64])
