#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`mortise ctl powerdown` presses the power button of the shipped machine: refused until Debian's kernel has a driver for it, then
the guest gets the key, down and up, as often as it is pressed."""
import lzma
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import console  # noqa: E402
import machines as m  # noqa: E402


def module(name):
    """A module that the cached system does not have, from the package it was made of."""
    for place, _, files in os.walk(os.path.join(m.GUESTS, "parts/usr/lib/modules")):
        for suffix, opener in ((".ko.xz", lzma.open), (".ko", open)):
            if name + suffix in files:
                with opener(os.path.join(place, name + suffix), "rb") as f:
                    return f.read()
    raise m.Skip(f"the guest's module {name} is missing (make guests)")


def press(status):
    done = subprocess.run([m.EMULATOR, "ctl", "button", "powerdown"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=m.BOOT_SECONDS, check=False)
    m.check(done.returncode == status, f"powerdown: {done.returncode}: {done.stdout.decode()}")
    return done.stdout.decode()


def pressed(guest):
    """Presses until the guest shows it: what is pressed before somebody has opened the device is heard by nobody."""
    events = [rb"[0-9a-f]{32}" + e for e in (rb"0100740001000000", rb"0000000000000000", rb"0100740000000000",
                                             rb"0000000000000000")]
    for _ in range(20):
        press(0)
        try:
            return guest.expect(rb"\s+".join(events), 3)
        except console.Failure:
            pass
    raise console.Failure("the guest does not get the key")


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = os.path.join(folder, "run")
    os.mkdir(os.environ["XDG_RUNTIME_DIR"], 0o700)
    initramfs = m.initramfs_with(folder, {"evdev.ko": (0o644, module("evdev"))})
    board = os.path.join(folder, "button.ini")
    with open(board, "w", encoding="utf-8") as f:
        f.write("[machine]\nschema = 1\nbase = virt-riscv64\n")
    machine = m.Machine(m.guest_file("Image"), initramfs, "console=ttyS0", board=board)
    m.need_emulator()
    m.need_firmware()
    command = machine.command()
    command[1:] = [*command[1:], "-s", "ram.size=1G"]
    with console.Console(command) as guest:
        guest.expect(rb"OpenSBI", m.BOOT_SECONDS)
        m.check("no driver for the power button" in press(1), "pressed where nobody listens")
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        m.shell(guest, "modprobe virtio_input; insmod /evdev.ko; cat /sys/class/input/input*/name", rb"mortise power button")
        for _ in range(2):
            # struct input_event is 24 bytes, 16 of them the time
            guest.type(b"dd if=/dev/input/event0 bs=24 count=4 2>/dev/null | hexdump -v -e '24/1 \"%02x\" \"\\n\"'\n")
            pressed(guest)
            guest.expect(m.PROMPT, 60)
        guest.type(b"poweroff\n")
        m.ends_with(guest, 0)


m.main(test)
