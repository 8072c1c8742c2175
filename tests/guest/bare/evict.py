#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""More code than the code cache holds."""
import run

run.group(("evict", 2, [], ["cpu.code-cache=1M"], None))
