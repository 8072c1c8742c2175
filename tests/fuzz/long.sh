#!/bin/sh
# SPDX-License-Identifier: MIT
# Every target of tests/fuzz for FUZZ_SECONDS, an hour unless told otherwise.
command -v "${FUZZ_CC:-clang}" > /dev/null || { echo "clang is not installed"; exit 77; }
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n); int LLVMFuzzerTestOneInput(const char *d, unsigned long n)
{ return d && n ? 0 : 0; }' | "${FUZZ_CC:-clang}" -fsanitize=fuzzer -x c - -o /dev/null 2> /dev/null ||
  { echo "clang has no libFuzzer (Debian: libclang-rt-14-dev)"; exit 77; }
FUZZ_SECONDS=${FUZZ_SECONDS:-3600} exec sh "$(dirname "$0")/run.sh" "$@"
