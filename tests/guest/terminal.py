#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The terminal's settings are what they were: after Ctrl-a x (which ends the emulator with 0) and after kill -9 of it."""
import signal
import time
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402


def wait_for(condition, text, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        m.check(time.monotonic() < end, text)
        time.sleep(0.01)


def until_raw(guest):
    guest.expect(rb"OpenSBI", 20)
    m.check(guest.settings() != guest.settings_before, "the terminal is not raw while the guest runs")


def quit_by_key(machine):
    with machine.start() as guest:
        until_raw(guest)
        guest.type(b"\x01h")
        guest.expect(rb"Ctrl-a|C-a", 5)
        guest.type(b"\x01x")
        m.ends_with(guest, 0)
        m.check(guest.settings() == guest.settings_before, "Ctrl-a x leaves other settings")


def end_by(machine, number, status):
    with machine.start() as guest:
        until_raw(guest)
        guest.signal(number)
        m.ends_with(guest, status)
        wait_for(lambda: guest.settings() == guest.settings_before, f"signal {number} leaves other settings")


def test(_folder):
    machine = m.linux("")
    m.step("Ctrl-a x")
    quit_by_key(machine)
    m.step("SIGTERM")
    end_by(machine, signal.SIGTERM, 0)
    m.step("SIGKILL")
    end_by(machine, signal.SIGKILL, -signal.SIGKILL)


m.main(test)
