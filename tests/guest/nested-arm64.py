#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The emulator on KVM of arm64: nested.py."""
import machines as m
import nested

m.main(lambda folder: nested.test(folder, nested.ARM64))
