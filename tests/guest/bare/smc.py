#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Self-modifying code, on one hart and two, and in a small code cache."""
import run

run.group(("smc", 2, [], [], None), ("smc", 2, [], ["cpu.code-cache=1M"], None))
