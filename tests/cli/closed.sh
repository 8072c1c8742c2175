#!/bin/sh
# SPDX-License-Identifier: MIT
# A machine that is started with closed standard descriptors gives their numbers to no file of its own, or the guest's
# console would be read from it or written into it; and SIGTERM ends it in good order.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
mortise=${MORTISE:-$top/build/mortise}
scratch=$(mktemp -d) || exit 1
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$scratch"' EXIT
failed=0

# wfi; j . - a guest that would run for ever
printf '\163\000\120\020\157\000\000\000' > "$scratch/loop.bin"
cat > "$scratch/test.ini" <<EOF
[machine]
schema = 1
arch = riscv64
[cpu]
plugin = cpu-tcg
[memory ram]
at = 0x80000000
size = 16M
[boot]
plugin = dev-boot-riscv
firmware = loop.bin
[device con0]
plugin = dev-char-stdio
[device uart0]
plugin = dev-uart16550
at = 0x10000000
char = con0
EOF

timeout -k 1 20 "$mortise" run "$scratch/test.ini" <&- >&- 2>&- &
timeout=$!
pid=
while [ -z "$pid" ]; do
  kill -0 $timeout 2>/dev/null || { echo "did not start"; exit 1; }
  pid=$(cat "/proc/$timeout/task/$timeout/children")
done
pid=${pid%% *}
# the threads of the vCPUs come last
tries=0
while [ "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -lt 3 ] && [ $tries -lt 100 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
for fd in 0 1 2; do
  is=$(readlink "/proc/$pid/fd/$fd")
  [ "$is" = /dev/null ] || { echo "descriptor $fd is '$is'"; failed=1; }
done
kill -TERM "$pid"
wait $timeout
code=$?
pid=
[ $code = 0 ] || { echo "SIGTERM: ended with $code"; failed=1; }
exit $failed
