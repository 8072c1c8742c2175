#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reservations and atomics, on two harts and four, with and without strict-lrsc."""
import run

run.group(("lrsc", 2, [], [], None), ("lrsc", 4, ["STRICT"], ["cpu.strict-lrsc=on"], None))
