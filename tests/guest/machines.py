# SPDX-License-Identifier: MIT
"""The guests and the emulators that tests and benchmarks run, and how a test ends.

GUEST_EMULATOR names another emulator than the one just built (a qemu-system-riscv64 serves to try a test itself).
Exit status of a test: 0, 1 for a failure (with the end of the console's output), 77 for a skip (the reason comes last).
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

import console

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("TEST_SRCDIR", os.path.dirname(os.path.dirname(HERE)))
BUILD = os.environ.get("TEST_BUILDDIR", os.path.join(SOURCE, "build"))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mortise")
GUESTS = os.path.join(CACHE, "guests", "riscv64")
FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"
EMULATOR = os.environ.get("GUEST_EMULATOR") or os.environ.get("MORTISE") or os.path.join(BUILD, "mortise")
LONG = bool(os.environ.get("MORTISE_LONG"))
CROSS = os.environ.get("RISCV64_CC", "riscv64-linux-gnu-gcc")

BOOT_SECONDS = 200
END_SECONDS = 20
# With the line editor's question: what is typed before the answer has gone makes the answer a part of the output.
PROMPT = rb"debian:[^\r\n]*# \x1b\[6n"
FINISHER = {"virt-riscv64": 0x00100000, "virt-riscv64-aia": 0x00100000, "lite-riscv64": 0x03000000}

# the same boards of qemu-system-riscv64
PEER_BOARDS = {"virt-riscv64": "virt", "virt-riscv64-aia": "virt,aia=aplic-imsic"}


class Skip(Exception):
    """The test cannot run here, and why."""


def guest_file(name, made_by="make guests"):
    """A file of the cache of real guests."""
    path = os.path.join(GUESTS, name)
    if not os.path.exists(path):
        raise Skip(f"the guest riscv64/{name} is missing ({made_by})")
    return path


def need_firmware():
    if not os.path.exists(FIRMWARE):
        raise Skip("the firmware is missing (Debian: opensbi)")


def need_emulator(path=EMULATOR):
    if not shutil.which(path):
        raise Skip(f"the emulator {os.path.basename(path)} is not built")


def is_qemu(emulator):
    return os.path.basename(emulator).startswith("qemu-system")


class Machine:
    """A guest and the board that it runs on, whichever emulator is to run it."""

    def __init__(self, kernel, initrd=None, append="", harts=1, disk=None, board="virt-riscv64", memory="1G",
                 bare=False, bus="bus1", network=False, more="", peer_more=()):
        """`bus`: the slot that the disk is on; `more`: sections of the machine file beside, `peer_more`: QEMU's words."""
        self.kernel, self.initrd, self.append, self.harts = kernel, initrd, append, harts
        self.disk, self.board, self.memory, self.bare, self.bus = disk, board, memory, bare, bus
        self.network = network        # a card on a user network, which this emulator's own board always has
        self.more, self.peer_more = more, list(peer_more)

    def command(self, emulator=EMULATOR, folder=None):
        """The command line; a folder is needed for a machine with a disk, whose file is written there."""
        if is_qemu(emulator):
            return self._qemu(emulator)
        return self._mortise(emulator, folder)

    def _qemu(self, emulator):
        if self.board not in PEER_BOARDS:
            raise Skip(f"{os.path.basename(emulator)} has no such board as {self.board}")
        words = [emulator, "-M", PEER_BOARDS[self.board], "-m", self.memory, "-smp", str(self.harts), "-nographic", "-nodefaults",
                 "-serial", "mon:stdio", "-bios", "none" if self.bare else FIRMWARE, "-kernel", self.kernel]
        words += ["-initrd", self.initrd] if self.initrd else []
        words += ["-append", self.append] if self.append else []
        if self.network:
            words += ["-global", "virtio-mmio.force-legacy=false", "-netdev", "user,id=n",
                      "-device", "virtio-net-device,netdev=n"]
        if self.disk:
            device = "virtio-blk-device" if self.bus.startswith("bus") else "virtio-blk-pci"
            words += ["-drive", f"if=none,id=d,format=raw,file={self.disk}", "-device", device + ",drive=d"]
        return words + self.peer_more

    def _mortise(self, emulator, folder):
        board = self.board
        if self.disk or self.more:
            board = os.path.join(folder, "machine.ini")
            disk = (f"[block disk]\nplugin = block-raw\nfile = \"{self.disk}\"\n"
                    f"[device vda]\nplugin = dev-virtio-blk\nbus = {self.bus}\nblock = disk\n") if self.disk else ""
            with open(board, "w", encoding="utf-8") as f:
                f.write(f"[machine]\nschema = 1\nbase = {self.board}\n{disk}{self.more}")
        settings = {"boot.kernel": self.kernel, "boot.initrd": self.initrd, "boot.append": self.append,
                    "cpu.count": str(self.harts), "ram.size": self.memory,
                    "boot.firmware": "" if self.bare else FIRMWARE}
        words = [emulator, "run", "-q", board]
        for key, value in settings.items():
            if value is not None and not (key == "ram.size" and self.board == "lite-riscv64"):
                words += ["-s", f"{key}={value}"]
        return words

    def start(self, folder=None):
        need_emulator()
        if not self.bare:
            need_firmware()
        return console.Console(self.command(folder=folder))


def linux(append, **more):
    """Debian's kernel with the busybox system."""
    words = "console=ttyS0 " + append
    return Machine(guest_file("Image"), guest_file("initramfs.cpio.gz"), words.strip(), **more)


def build_bare(folder, name, *defines, board="virt-riscv64"):
    """A bare-metal program from tiny.S."""
    if not shutil.which(CROSS):
        raise Skip(f"{CROSS} is missing")
    path = os.path.join(folder, name)
    subprocess.run([CROSS, "-nostdlib", "-nostartfiles", "-static", "-march=rv64imac_zicsr", "-mabi=lp64",
                    "-Wl,--build-id=none,-n", "-Wl,-Ttext=" + ("0x40000000" if board == "lite-riscv64" else "0x80000000"),
                    f"-DFINISHER={FINISHER[board]:#x}", *("-D" + d for d in defines),
                    "-o", path, os.path.join(SOURCE, "tests/guest/tiny.S")], check=True)
    return path


def build_linux(folder, name, *sources):
    """A static Linux program for the guest. Without math-errno, sqrt is the instruction."""
    if not shutil.which(CROSS):
        raise Skip(f"{CROSS} is missing")
    path = os.path.join(folder, name)
    done = subprocess.run([CROSS, "-O2", "-fno-math-errno", "-pthread", "-static", "-o", path,
                           "-I" + os.path.join(SOURCE, "plugins/cpu-tcg"), *sources, "-lm"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode and b"cannot find -l" in done.stdout:
        raise Skip(f"{CROSS} has no static C library (Debian: libc6-dev-riscv64-cross)")
    check(done.returncode == 0, done.stdout.decode("utf-8", "replace"))
    return path


def _cpio_member(number, name, mode, data):
    """One file of a cpio archive in the "newc" format: 13 fields of 8 hexadecimal digits, then name and data, padded."""
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def initramfs_with(folder, files):
    """The cached initramfs with a second archive behind it: {name: (mode, data)}."""
    with open(guest_file("initramfs.cpio.gz"), "rb") as f:
        whole = f.read()
    whole += b"\0" * (-len(whole) % 4)
    for i, (name, (mode, data)) in enumerate(files.items()):
        whole += _cpio_member(i + 1, name, 0o100000 | mode, data)
    whole += _cpio_member(0, "TRAILER!!!", 0, b"")
    path = os.path.join(folder, "initramfs")
    with open(path, "wb") as f:
        f.write(whole)
    return path


def linux_with(folder, program, append="", **more):
    """The Linux guest running one program of ours, which prints markers, as its script."""
    with open(program, "rb") as f:
        initramfs = initramfs_with(folder, {"scripts/program": (0o755, f.read())})
    words = f"console=ttyS0 mortise.script=program {append}"
    return Machine(guest_file("Image"), initramfs, words.strip(), **more)


def marks(guest, *names, seconds=BOOT_SECONDS):
    """Waits for the guest scripts' markers, in order; each must say ok."""
    for name in names:
        found = guest.expect(rb"MORTISE-TEST: (\S+) (ok|FAIL)([^\r\n]*)\r", seconds)
        if found[1].decode() != name or found[2] != b"ok":
            raise console.Failure(f"wanted the marker {name} ok, the guest says {found[0].decode().strip()}")


def shell(guest, command, wanted, seconds=60):
    """Types a command at the prompt and wants its output to have a line that matches."""
    guest.type(command.encode() + b"\n")
    found = guest.expect(rb"\n(" + wanted + rb")\r", seconds)
    guest.expect(PROMPT, seconds)
    return found


def ends_with(guest, status, seconds=END_SECONDS):
    """The emulator ends by itself with this exit status."""
    got = guest.wait(seconds)
    if got != status:
        raise console.Failure(f"the emulator ended with {got}, not {status}")


def check(condition, text):
    if not condition:
        raise console.Failure(text)


def _leave(number, _frame):
    sys.exit(128 + number)


def main(test):
    """Runs test(folder), with a folder of its own that goes afterwards."""
    signal.signal(signal.SIGTERM, _leave)
    sys.stdout.reconfigure(line_buffering=True)
    folder = tempfile.mkdtemp(prefix="mortise-guest.")
    status = 0
    try:
        test(folder)
    except Skip as reason:
        print(f"skipped: {reason}")
        status = 77
    except (console.Failure, subprocess.CalledProcessError, OSError) as reason:
        if getattr(reason, "console", ""):
            print(f"--- the end of the console\n{reason.console}\n---")
        place = [f for f in traceback.extract_tb(reason.__traceback__) if f.filename == sys.argv[0]]
        print(f"FAILED: {reason}" + (f" ({os.path.basename(sys.argv[0])}:{place[-1].lineno})" if place else ""))
        status = 1
    finally:
        console.end_all()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


def step(text):
    print("- " + re.sub(r"\s+", " ", text))
