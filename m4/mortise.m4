# SPDX-License-Identifier: MIT
# Macros of configure.ac and of the plugins' plugin.m4. The table that configure ends with is collected in
# mortise_rows (plugins) and mortise_missing (libraries of the core), one line each.

# MORTISE_COMPILER_OPTIONS: --enable-{werror,asan,ubsan,tsan,fuzz,debug}, into MORTISE_CFLAGS, MORTISE_LDFLAGS, MORTISE_DEFS
AC_DEFUN([MORTISE_COMPILER_OPTIONS], [
MORTISE_CFLAGS="-std=gnu11 -Wall -Wextra -Wformat-security"
MORTISE_LDFLAGS=
MORTISE_DEFS=
mortise_options=
MORTISE_ENABLE([werror], [make compiler warnings errors], [MORTISE_CFLAGS="$MORTISE_CFLAGS -Werror"])
MORTISE_ENABLE([asan], [build with the address sanitizer], [MORTISE_SANITIZE([address])])
MORTISE_ENABLE([ubsan], [build with the undefined behaviour sanitizer], [MORTISE_SANITIZE([undefined])])
MORTISE_ENABLE([tsan], [build with the thread sanitizer], [MORTISE_SANITIZE([thread])])
MORTISE_ENABLE([fuzz], [instrument for libFuzzer: tests/fuzz (clang)],
  [MORTISE_CFLAGS="$MORTISE_CFLAGS -fsanitize=fuzzer-no-link"])
MORTISE_ENABLE([debug], [check IR, threads and lock ranks at run time (MORTISE_DEBUG)],
  [MORTISE_DEFS="$MORTISE_DEFS -DMORTISE_DEBUG=1"])
AS_IF([test "$enable_asan$enable_tsan" = yesyes], [AC_MSG_ERROR([--enable-asan and --enable-tsan exclude each other])])
AS_IF([test -n "$mortise_sanitizers"], [AC_MSG_CHECKING([whether $CC links with$mortise_sanitizers])
  mortise_save_cflags=$CFLAGS
  CFLAGS="$CFLAGS $MORTISE_LDFLAGS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_FAILURE([the sanitizer runtime of $CC is missing (for clang install libclang-rt-14-dev)])])
  CFLAGS=$mortise_save_cflags])
AM_CONDITIONAL([SANITIZED], [test -n "$mortise_sanitizers"])
AM_CONDITIONAL([LONG_TESTS_IN_CHECK], [false])
AC_SUBST([MORTISE_CFLAGS])
AC_SUBST([MORTISE_LDFLAGS])
AC_SUBST([MORTISE_DEFS])
])

# MORTISE_ENABLE(NAME, HELP, IF-YES): a --enable option, off by default
AC_DEFUN([MORTISE_ENABLE], [
AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$2])], [], [enable_$1=no])
AS_IF([test "$enable_$1" = yes], [mortise_options="$mortise_options $1"
$3])
])

# MORTISE_SANITIZE(NAME): compile and link with -fsanitize=NAME; a finding ends the program, so that a test fails
AC_DEFUN([MORTISE_SANITIZE], [
mortise_sanitizers="$mortise_sanitizers $1"
MORTISE_CFLAGS="$MORTISE_CFLAGS -fsanitize=$1 -fno-sanitize-recover=$1 -fno-omit-frame-pointer"
MORTISE_LDFLAGS="$MORTISE_LDFLAGS -fsanitize=$1"
])

# MORTISE_MISSING(WHAT, DEBIAN-PACKAGE): note a missing library of the core; configure goes on, to tell all in one run
AC_DEFUN([MORTISE_MISSING], [mortise_missing="$mortise_missing $2"
AC_MSG_WARN([$1 not found (Debian: $2)])])

# MORTISE_LIB(NAME, HEADERS, LIB, FUNCTION, DEBIAN-PACKAGE): a library without pkg-config file; sets NAME_LIBS
AC_DEFUN([MORTISE_LIB], [
mortise_found=no
AC_CHECK_HEADERS([$2], [mortise_found=yes])
AS_IF([test $mortise_found = yes], [AC_CHECK_LIB([$3], [$4], [$1_LIBS=-l$3], [mortise_found=no])])
AS_IF([test $mortise_found = no], [MORTISE_MISSING([$3], [$5])])
AC_SUBST([$1_LIBS])
])

# MORTISE_REPORT_MISSING: end here if the core lacks a library
AC_DEFUN([MORTISE_REPORT_MISSING], [
AS_IF([test -n "$mortise_missing"],
  [AC_MSG_ERROR([libraries are missing; install:$mortise_missing (or run ./autogen.sh --install-deps)])])
])

# MORTISE_PLUGIN(NAME, [yes|no (default yes; may be a shell word)], [what is missing, told when no])
#   A row in the closing table and the automake conditional PLUGIN_NAME (upper case, - becomes _).
AC_DEFUN([MORTISE_PLUGIN], [
mortise_ok=m4_default([$2], [yes])
AM_CONDITIONAL([PLUGIN_]m4_translit([$1], [-a-z], [_A-Z]), [test "$mortise_ok" = yes])
AS_IF([test "$mortise_ok" = yes],
  [mortise_rows="$mortise_rows
$1 yes"],
  [mortise_rows="$mortise_rows
$1 no  $3"])
])

# MORTISE_PLUGIN_PKG(NAME, VARIABLE-PREFIX, PKG-CONFIG-MODULES, DEBIAN-PACKAGE)
#   The plugin needs pkg-config modules: sets PREFIX_CFLAGS and PREFIX_LIBS, and calls MORTISE_PLUGIN.
AC_DEFUN([MORTISE_PLUGIN_PKG], [
PKG_CHECK_MODULES([$2], [$3], [mortise_pkg=yes], [mortise_pkg=no])
MORTISE_PLUGIN([$1], [$mortise_pkg], [(needs $3; Debian: $4)])
])

# MORTISE_SUMMARY: the closing table
AC_DEFUN([MORTISE_SUMMARY], [
AS_ECHO(["
mortise $VERSION, $CC, options:${mortise_options:- none}
  unit tests (libcheck)      $have_check
plugins:"])
AS_ECHO(["$mortise_rows"]) | while read -r mortise_name mortise_row; do
  test -z "$mortise_name" || printf '  %-26s %s\n' "$mortise_name" "$mortise_row"
done
])
