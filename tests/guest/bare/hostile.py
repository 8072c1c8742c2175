#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Guests that do what none should."""
import run

run.group(("hostile", 1, [], [], None), ("hostile", 1, [], ["cpu.code-cache=1M"], None))
