#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The block layer's tests, with the counts of `make check`, in a build with the thread sanitizer: it has nothing to say of
races, nor of the order of locks."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest"))
import machines as m  # noqa: E402
import sanitized as tsan  # noqa: E402

TESTS = [f"kernel/block/test-{name}" for name in ("block", "alloc", "lock", "quick")]
TESTS += [f"tests/block/test-{name}" for name in ("filter", "qcow2", "jobs", "snap", "queues")]


def run(name, folder):
    env = dict(os.environ, **tsan.PLAIN, TEST_BUILDDIR=tsan.TSAN, CK_TIMEOUT_MULTIPLIER="10",
               TSAN_OPTIONS=tsan.options(folder))
    env.pop("MORTISE_LONG", None)
    done = subprocess.run([*tsan.FIXED, os.path.join(tsan.TSAN, name)], env=env, cwd=tsan.TSAN, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    tsan.nothing_found(folder)
    m.check(done.returncode == 0, done.stdout.decode("utf-8", "replace"))
    m.step(f"{name}: nothing found")


def test(folder):
    m.step("build")
    tsan.build(*TESTS)
    for name in TESTS:
        run(name, folder)


m.main(test)
