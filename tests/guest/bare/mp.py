#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two harts and the memory model; interrupts and sleep."""
import run

run.group(("mp", 2, [], [], None))
