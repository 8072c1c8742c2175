# SPDX-License-Identifier: MIT
# Shared by the lint scripts: where to look, what a source is, and how a finding is told. A script that found something
# ends with status 1. LINT_ROOT lets the self-test point them at a broken sample. One process reads many files: a process
# a file or a line made the checks the slowest of all tests.
set -eu

root=${LINT_ROOT:-${TEST_SRCDIR:-$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)}}
cd "$root"
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT

finding() { printf '%s\n' "$*" | tee -a "$findings"; }

# a finding a line: of standard input, or of the text
findings_from() { tee -a "$findings"; }
all_findings() { [ -z "$1" ] || finding "$1"; }

# the C sources below the folders named, one a line
c_files() { find "$@" -type f \( -name '*.c' -o -name '*.h' \) 2>/dev/null | LC_ALL=C sort; }

finish() { # name
  if [ -s "$findings" ]; then
    echo "$1: $(wc -l < "$findings") finding(s)"
    exit 1
  fi
  echo "$1: clean"
}
