#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Extensions beyond what compilers emit, on two harts."""
import run

run.group(("ext", 2, [], [], None))
